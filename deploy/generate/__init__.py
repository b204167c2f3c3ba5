"""Generated files: written from the code, committed, and never edited by hand.

`python -m deploy.generate` writes them; with `--check` it writes nothing and fails if one is out of date.
"""
