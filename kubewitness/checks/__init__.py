"""Pure judgements: a history in, violations out. Nothing here waits, asserts or does I/O."""
