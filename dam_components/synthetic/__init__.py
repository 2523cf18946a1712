"""Synthetic pelvic MRI with labels."""

from dam_components.synthetic.pelvic import pelvic_spacing, synthesize_pelvic, write_pelvic_dataset

__all__ = ["pelvic_spacing", "synthesize_pelvic", "write_pelvic_dataset"]
