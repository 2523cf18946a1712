"""The study that measured the parts of ``dam_components``: experiments, baselines, statistics and reports."""
