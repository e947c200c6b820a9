"""Plan by image, encode once, ask in micro-batches, write parts that a killed run can build on."""
