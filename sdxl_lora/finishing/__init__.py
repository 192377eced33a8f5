"""What happens to a picture after it was decoded, step by step: scored, its request embedded, kept.

Every step is a file of its own and says at which stage it works; `chain` puts them in order.
"""
