"""From text to ids and back: chat templates, delimiters, and control tokens in a caller's text."""
