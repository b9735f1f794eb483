"""What can be done to an adapter once it is tuned: ``scale`` it, ``merge`` it with another,
project it (``safe-lora``).

A transform is a frozen dataclass of its options; packages offer more in the entry-point group
``puretune.transforms``. It works on the adapter's tensors, layer by layer, and never on the base.
"""

from puretune.models.transforms._registry import TRANSFORMS, transform_named
from puretune.models.transforms._types import Change, Transform
from puretune.models.transforms.merge import Merge
from puretune.models.transforms.safety import SafeLora, SafeMerge
from puretune.models.transforms.scale import Scale

__all__ = ["TRANSFORMS", "Change", "Merge", "SafeLora", "SafeMerge", "Scale", "Transform", "transform_named"]
