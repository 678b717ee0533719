"""The competitors: the models as a good PyTorch user writes them, and programs around them.

`layers.py` and `models.py` are the models, `training.py` trains them, `scoring.py` samples and
estimates likelihoods, `weights.py` gives a model the parameters of one of ours.
"""
