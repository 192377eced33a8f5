"""What people say about pictures: votes and the taste learned from them, corrections, and the history of a request.

Knows nothing of pages or of how pictures are made.
"""
