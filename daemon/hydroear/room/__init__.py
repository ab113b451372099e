"""The control room's end of the link: what units say, and what is asked of them."""
