"""Commands of ``python -m dam_components``, each a function in a module of its own; ``cli.py`` lists them."""
