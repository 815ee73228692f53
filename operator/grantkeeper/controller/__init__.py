"""The watching and the keeping: the process that holds the keys and reaches the servers."""
