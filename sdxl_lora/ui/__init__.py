"""What the pages share: the one studio and its queue, session state, look and components.

`shared` holds resources and state, `composer` turns widgets into a request and back, `pictures` shows a
finished picture, `feed` shows jobs while they run and after. Only this package and the pages know streamlit.
"""
