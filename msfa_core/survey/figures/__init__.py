"""The figures of a survey: what is in them as records, and one way to print them.

A panel (:mod:`panel`) holds points, guides, axes and a sentence; pages and papers draw the same
one. :mod:`planes` makes those of the paper, :mod:`judged` what reviewers and truth say, and
:mod:`star` what is shown of one star; :mod:`printed` draws them with matplotlib.
"""
