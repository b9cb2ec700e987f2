"""The pages that are made from the code: each module has a `page` that returns one, and says what it is made from."""
