"""What `make bench` measures: the machine, the desk, and its peers, in one run."""
