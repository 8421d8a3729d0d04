"""From text to ids and back: chat templates, control tokens in a caller's text, and delimiters in one tokenizer's ids."""
