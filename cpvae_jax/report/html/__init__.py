"""The page report.html: what it holds (`content`), and how that is shown (`page`).

`content` asks the model and the data once, at the end of a run, and what it finds is kept in
report.json. `page` needs the files of the run folder only, neither JAX nor data.
"""
