"""Commands of ``python -m dam_study``; ``cli.py`` lists them."""
