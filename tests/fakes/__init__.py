"""Stand-ins for what no real part can be asked to do; never used where a real part can."""
