"""Texts and chats to ids: what a tokenizer does when it is called."""

from __future__ import annotations

import dataclasses
import functools
import logging
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import tokenizers

from . import backend as backends
from . import chat, limits, rows
from .encoding import BatchEncoding
from .options import Options
from .padding import Unpadded
from .settings import UNLIMITED
from .special import SpecialTokens
from .texts import Texts
from .vocabulary import Vocabulary

logger = logging.getLogger(__name__)


class TextEncoder(Vocabulary):
    """A vocabulary whose tokens are found in texts, and what is to be known for that.

    Args:
        backend: the `tokenizers.Tokenizer` that does the work; it has no truncation and no padding, which come with
            each call.
        special_tokens: those of its tokens that are special.
    """

    model_max_length: int = UNLIMITED
    model_input_names: list[str] = ["input_ids", "attention_mask"]  # noqa: RUF012 - replaced whole
    padding_side: str = "right"
    truncation_side: str = "right"
    pad_token_type_id: int = 0
    split_special_tokens: bool = False
    add_prefix_space: bool | None = False
    chat_template: str | dict[str, str] | None = None
    words_need_prefix_space: ClassVar[bool] = False
    """Whether texts in words are refused without `add_prefix_space`: their pieces would not be those of the text."""

    def __init__(self, backend: tokenizers.Tokenizer, special_tokens: SpecialTokens) -> None:
        super().__init__(backend, special_tokens)
        self._custom: Callable[[tokenizers.Tokenizer], None] | None = None  # see `backend.view`
        self._warned: set[str] = set()

    def __call__(
        self,
        text: Any = None,
        text_pair: Any = None,
        text_target: Any = None,
        text_pair_target: Any = None,
        add_special_tokens: bool = True,
        padding: bool | str = False,
        truncation: bool | str | None = None,
        max_length: int | None = None,
        stride: int = 0,
        is_split_into_words: bool = False,
        pad_to_multiple_of: int | None = None,
        padding_side: str | None = None,
        return_tensors: str | None = None,
        return_token_type_ids: bool | None = None,
        return_attention_mask: bool | None = None,
        return_overflowing_tokens: bool = False,
        return_special_tokens_mask: bool = False,
        return_offsets_mapping: bool = False,
        return_length: bool = False,
        verbose: bool = True,
        split_special_tokens: bool | None = None,
    ) -> BatchEncoding:
        """Tokenize one text or many.

        Args:
            text: a str; or a list (any iterable that is no mapping) of str or of pairs of str. With
                is_split_into_words, a list of words or a list of those.
            text_pair: the second text of a pair, or as many as there are texts.
            text_target: what the model shall answer. With `text` it comes as `labels`, alone as `input_ids`.
            text_pair_target: second texts of the targets.
            add_special_tokens: [CLS], [SEP] and their like.
            padding: False; True or "longest", to the longest row; "max_length", to max_length or else to the
                tokenizer's model_max_length.
            truncation: False; True or "longest_first", token by token from the longer text of a pair; "only_first";
                "only_second". None is False, unless max_length is given without padding.
            max_length: tokens of a row, special tokens included; by default the tokenizer's model_max_length.
            stride: tokens that a piece of a cut text shares with the next (see return_overflowing_tokens).
            is_split_into_words: the texts are lists of words.
            pad_to_multiple_of: padded rows get a length that is a multiple of it.
            padding_side: "right" or "left", for this call.
            return_tensors: "np" (int64) or "jax" (int32) arrays instead of lists; one text gets a batch axis.
            return_token_type_ids: which text a token is of, 0 or 1; None: as `model_input_names` says.
            return_attention_mask: 0 at padding, 1 elsewhere; None: as `model_input_names` says.
            return_overflowing_tokens: what was cut off comes as rows of its own after each text's first;
                `overflow_to_sample_mapping` says which text a row is of. One text gets a batch axis.
            return_special_tokens_mask: `special_tokens_mask`, 1 at special tokens and padding.
            return_offsets_mapping: `offset_mapping`, the (start, end) characters of each token; (0, 0) at specials.
            return_length: `length`, tokens of each row, padding included.
            verbose: log warnings (each once).
            split_special_tokens: treat special tokens in the text as plain text; None: as the tokenizer is set.

        Returns:
            Lists of one text are flat, those of a list have one list per row; an empty list gives an empty batch.

        Raises:
            ValueError: naming the argument, and the index of the text that is at fault.
            TypeError: one `text_pair` for many texts.
        """
        options = Options(
            add_special_tokens=add_special_tokens,
            padding=padding,
            truncation=truncation,
            max_length=max_length,
            stride=stride,
            pad_to_multiple_of=pad_to_multiple_of,
            padding_side=padding_side,
            return_tensors=return_tensors,
            return_token_type_ids=return_token_type_ids,
            return_attention_mask=return_attention_mask,
            return_overflowing_tokens=return_overflowing_tokens,
            return_special_tokens_mask=return_special_tokens_mask,
            return_offsets_mapping=return_offsets_mapping,
            return_length=return_length,
            verbose=verbose,
            split_special_tokens=split_special_tokens,
        )
        if text is None and text_target is None:
            raise ValueError("no text: pass text or text_target")
        if text_target is None:
            return self._encode(Texts.of(text, text_pair, is_split_into_words, "text"), options)
        targets = self._encode(
            Texts.of(text_target, text_pair_target, is_split_into_words, "text_target"), options, target=True
        )
        if text is None:
            return targets
        encoded = self._encode(Texts.of(text, text_pair, is_split_into_words, "text"), options)
        encoded["labels"] = targets["input_ids"]
        return encoded

    def _custom_for(self, target: bool) -> Callable[[tokenizers.Tokenizer], None] | None:
        """What a view is given for texts, or for targets, beside what the backend has; see `backend.view`."""
        return self._custom

    def _encode(self, texts: Texts, options: Options, target: bool = False) -> BatchEncoding:
        """The rows of one set of texts, or of targets."""
        if texts.pretokenized and self.words_need_prefix_space and not self.add_prefix_space:
            raise ValueError(
                f"{type(self).__name__} takes texts in words only with a space in front of each: load it with "
                "add_prefix_space=True"
            )
        padding, truncation = limits.resolve(self, options, self._warn_once if options.verbose else _ignore)
        if target and padding is not None:  # targets may have a vocabulary of their own
            own = self._written.token_to_id(padding.pad_token)
            padding = padding if own is None else dataclasses.replace(padding, pad_id=own)
        split = self.split_special_tokens if options.split_special_tokens is None else options.split_special_tokens
        custom = self._custom_for(target)
        view = functools.partial(backends.view, self._backend, split_special_tokens=split, custom=custom)
        encoded = rows.encode(texts, view, truncation, padding, options.add_special_tokens)
        if options.verbose and options.max_length is None:
            longest = max(map(len, encoded), default=0)
            if longest > self.model_max_length:
                self._warn_once(
                    "longer",
                    f"a text has {longest} tokens, the model takes {self.model_max_length} at most: pass "
                    "truncation=True",
                )
        return rows.batch(encoded, options, self.model_input_names, texts.single)

    def encode_plus(
        self, text: Any, text_pair: Any = None, *, is_split_into_words: bool = False, **options: Any
    ) -> BatchEncoding:
        """As calling the tokenizer on one text or one pair."""
        texts = Texts.of(text, text_pair, is_split_into_words, "text")
        if not texts.single:
            raise ValueError("encode_plus takes one text: call the tokenizer itself on a list of texts")
        return self._encode(texts, Options(**options))

    def batch_encode_plus(
        self, batch_text_or_text_pairs: Any, *, is_split_into_words: bool = False, **options: Any
    ) -> BatchEncoding:
        """As calling the tokenizer on a list of texts, or of pairs of texts."""
        if isinstance(batch_text_or_text_pairs, str):
            raise TypeError("batch_encode_plus takes a list of texts: call the tokenizer itself on one text")
        texts = Texts(list(batch_text_or_text_pairs), False, is_split_into_words, "batch_text_or_text_pairs")
        return self._encode(texts, Options(**options))

    def encode(self, text: Any, text_pair: Any = None, **options: Any) -> Any:
        """The ids of one text or one pair: a list, or an array [1, T] with return_tensors; options as in a call."""
        return self.encode_plus(text, text_pair, **options)["input_ids"]

    def tokenize(self, text: Any, pair: Any = None, add_special_tokens: bool = False, **options: Any) -> list[str]:
        """The tokens of one text or one pair, as text; options as in a call."""
        return self.encode_plus(text, pair, add_special_tokens=add_special_tokens, **options).tokens()

    def num_special_tokens_to_add(self, pair: bool = False) -> int:
        """Special tokens that a row gets: one of a single text, or of a pair."""
        return self._backend.num_special_tokens_to_add(pair)

    @property
    def max_len_single_sentence(self) -> int:
        """Tokens of a text that fit the model."""
        return self.model_max_length - self.num_special_tokens_to_add(pair=False)

    @property
    def max_len_sentences_pair(self) -> int:
        """Tokens of a pair of texts, together, that fit the model."""
        return self.model_max_length - self.num_special_tokens_to_add(pair=True)

    def get_chat_template(self, chat_template: str | None = None, tools: Any = None) -> str:
        """The text of the chat template that `apply_chat_template` would use.

        Args:
            chat_template: a template's text, or the name of one of several; None is the tokenizer's own: of several
                "tool_use" if there are tools, else "default".
            tools: see `apply_chat_template`.

        Raises:
            ValueError: there is none.
        """
        return chat.choose(self.chat_template, chat_template, tools)

    def apply_chat_template(
        self,
        conversation: Any,
        tools: Any = None,
        documents: Any = None,
        chat_template: str | None = None,
        add_generation_prompt: bool = False,
        continue_final_message: bool = False,
        tokenize: bool = True,
        padding: bool | str = False,
        truncation: bool | str | None = False,
        max_length: int | None = None,
        return_tensors: str | None = None,
        return_dict: bool = False,
        return_assistant_tokens_mask: bool = False,
        tokenizer_kwargs: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> Any:
        """Write conversations as the model has learnt to read them, by the checkpoint's chat template.

        The template is a program that came with the checkpoint. It runs in a sandbox with limits on time and memory,
        which grow with the conversation.

        Args:
            conversation: messages, each a dict such as `{"role": "user", "content": "Hi"}`; a list of conversations;
                or an object with `.messages`, or a list of those.
            tools: what the model may call: JSON schemas, or functions with type hints and a docstring.
            documents: what the model may quote from: dicts, usually with "title" and "text".
            chat_template: a template's text, or the name of one of several; see `get_chat_template`.
            add_generation_prompt: end with what comes in front of an answer.
            continue_final_message: end where the last message's text ends, to let the model go on with it.
            tokenize: return ids; else text.
            padding: as in a call, like the next three. There are no special tokens but those that the template writes.
            truncation: whether ids are cut.
            max_length: tokens of a row.
            return_tensors: "np" (int64) or "jax" (int32) arrays instead of lists; one conversation gets a batch axis.
            return_dict: return all that a call returns, not the ids alone.
            return_assistant_tokens_mask: `assistant_masks`, 1 at the tokens of what the assistant says, if the
                template tells by `{% generation %}` blocks; needs return_dict.
            tokenizer_kwargs: further options of a call.
            **kwargs: variables of the template, such as `enable_thinking`; they go before special tokens of that name.

        Returns:
            The ids of one conversation are one list, those of a list have one list per row; [B, T] with
            return_tensors. With return_dict a BatchEncoding, without tokenize a text or a list of texts.

        Raises:
            ValueError: no messages, no template, options that exclude each other, a malformed or hostile template, or
                one that refuses the conversation (then also a `jinja2.TemplateError`).
            TypeError: documents that are no dicts.
        """
        chat.check_options(tokenize, return_dict, return_assistant_tokens_mask, continue_final_message)
        template = self.get_chat_template(chat_template, tools)
        if return_assistant_tokens_mask and not chat.has_generation(template):
            self._warn_once("generation", "the chat template has no {% generation %} blocks: assistant_masks are all 0")
        conversations = chat.Conversations.of(conversation)
        rendered = chat.render(
            conversations,
            template,
            functions=tools,
            documents=documents,
            continue_final_message=continue_final_message,
            add_generation_prompt=add_generation_prompt,
            variables=self.special_tokens_map | kwargs,
        )
        texts = [one.text for one in rendered]
        if not tokenize:
            return texts[0] if conversations.single else texts
        encoded = self(
            texts[0] if conversations.single else texts,
            padding=padding,
            truncation=truncation,
            max_length=max_length,
            add_special_tokens=False,
            return_tensors=return_tensors,
            **(tokenizer_kwargs or {}),
        )
        if not return_dict:
            return encoded["input_ids"]
        if return_assistant_tokens_mask:
            masks = chat.assistant_masks(encoded, rendered)
            flat = conversations.single and return_tensors is None and "overflow_to_sample_mapping" not in encoded
            encoded["assistant_masks"] = masks[0] if flat else masks
            encoded.convert_to_tensors(return_tensors)
        return encoded

    def pad(
        self,
        encoded_inputs: Any,
        padding: bool | str = True,
        max_length: int | None = None,
        pad_to_multiple_of: int | None = None,
        padding_side: str | None = None,
        return_attention_mask: bool | None = None,
        return_tensors: str | None = None,
        verbose: bool = True,
    ) -> BatchEncoding:
        """Bring tokenized rows to one length: ids, type ids and masks are padded, other values pass untouched.

        Args:
            encoded_inputs: a mapping of one row or of many, or a list of mappings of one row; lists or arrays. Numpy
                arrays in give numpy arrays out, jax arrays give jax arrays, unless return_tensors says otherwise.
            padding: as in a call, like the next four.
            max_length: tokens of a row with padding="max_length".
            pad_to_multiple_of: padded rows get a length that is a multiple of it.
            padding_side: "right" or "left".
            return_tensors: "np" or "jax".
            verbose: log warnings (each once).
            return_attention_mask: make an attention mask where there is none; None: as `model_input_names` says.

        Raises:
            ValueError: no input_ids, values of different numbers of rows, or as in a call.
        """
        unpadded = Unpadded.of(encoded_inputs, self.model_input_names[0])
        if "attention_mask" in self.model_input_names if return_attention_mask is None else return_attention_mask:
            unpadded = unpadded.with_mask()
        options = Options(
            padding=padding,
            truncation=False,
            max_length=None if padding in (True, "longest") else max_length,
            pad_to_multiple_of=pad_to_multiple_of,
            padding_side=padding_side,
        )
        resolved, _ = limits.resolve(self, options, self._warn_once if verbose else _ignore)
        return BatchEncoding(unpadded.padded(resolved), tensor_type=return_tensors or unpadded.tensors)

    def _warn_once(self, key: str, message: str) -> None:
        """Log a warning the first time that there is one of this key."""
        if key not in self._warned:
            self._warned.add(key)
            logger.warning(message)


def _ignore(key: str, message: str) -> None:
    """Log nothing."""
