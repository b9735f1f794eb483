"""What to try: one file for each published way to keep an aligned model safe through fine-tuning.

A strategy is a frozen dataclass of its options; ``expand`` spells it out as conditions and test templates
of a study. Packages offer more through the entry-point group ``puretune.strategies``.
"""
