"""What the pages share: the one studio and its queue, session state, look and components.

`shared` holds resources and state. `composer` turns widgets into a request and back, with `words`, `tuning`, `tokens`
(how long the prompt is), `enrich` (richer words) and `past` (history and undo). `feed` shows jobs while they run and
after, with `attempts`; `pictures` a finished picture, with `why` (the reasons) and `votes`. `templates` edits those;
`evaluations` and `comparisons` belong to the pages of those names. Only this package and the pages know streamlit.
"""
