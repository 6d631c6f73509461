"""The framed screen: a portrait whose eyes follow the visitor."""

__version__ = "0.1.0"
