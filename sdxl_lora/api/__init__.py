"""The studio over HTTP: OpenAI's image endpoints, durable jobs, and AUTOMATIC1111's endpoints, on the one queue.

`app.create_app` is the API alone; `app.ApiRoutes` lets another ASGI application, such as the page's, answer it too.
Knows nothing of pages or of how pictures are made.
"""
