"""The remedies that the doctor can try: one table, from a name to the settings that it changes."""
