"""The embedded tokenizer: byte-level BPE with Qwen's splitting and ChatML.

Any text survives encoding and decoding. Each digit is a token.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers

from s1lab.tiny.words import NAMES

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

SPECIALS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|fim_pad|>"]

# Qwen2's splitting rule: words with their leading space, digits one by one, punctuation in runs.
_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)

# ChatML with a system turn only if one is given. Content is never re-ordered or trimmed.
CHAT_TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n"
    "' + message['content'] + '<|im_end|>\n"
    "' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n"
    "' }}{% endif %}"
)

# Each word that the world thinks in is one token, added to the bytes. All other text is bytes, one
# token for each letter. So larger pieces never hide a word whose letters are to be counted, and a
# model of a million weights can spell it. There are no merges and no normaliser: transformers loads
# a Qwen2 model's tokenizer with its own rules, and only this survives them.
_WITH_SPACE = (
    "many smallest between make tallest greatest common divisor yes no Answer Wait Hmm "
    "Alternatively after + - = <"
).split()
_AT_THE_START = (
    "system user assistant think answer Answer Final How What Which Put Heights Who Go stop Wait "
    "Hmm Alternatively"
).split()


def build() -> PreTrainedTokenizerFast:
    """Build the tokenizer. Nothing in it is learned."""
    # this import takes a second, and most calls of s1lab.tiny don't need it
    from transformers import PreTrainedTokenizerFast

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE({letter: i for i, letter in enumerate(letters)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_SPLIT), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(SPECIALS)
    words = [*_AT_THE_START, *(f" {w}" for w in (*_WITH_SPACE, *NAMES))]
    tokenizer.add_tokens([AddedToken(w, normalized=False) for w in words])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token="<|im_end|>",
        pad_token="<|fim_pad|>",
        clean_up_tokenization_spaces=False,
        model_max_length=4096,
        chat_template=CHAT_TEMPLATE,
    )
