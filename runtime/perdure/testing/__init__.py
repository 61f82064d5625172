"""For tests: the memory store, and the contract that every store keeps."""
