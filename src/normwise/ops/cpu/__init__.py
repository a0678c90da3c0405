"""What kernels for the CPU are made of: elementwise functions, memory, compiled code and threads."""
