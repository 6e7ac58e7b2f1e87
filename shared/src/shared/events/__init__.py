"""The events of Haoma: their envelope, and the catalogue of all of them."""
