"""The doctor: why a network does not train, which remedies help, and by how much."""
