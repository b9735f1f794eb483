"""What a study yields: cells, comparisons, and the files that people open."""
