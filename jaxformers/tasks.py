"""One class per task: which labels it takes, what it returns, and how the loss comes about. Architectures fill them."""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from . import batch as batches
from . import generation, outputs, runtime
from .architecture import Architecture
from .batch import CAUSAL, TWO_SIDED, Label
from .bundle import Model
from .generation import GenerationConfig
from .layers import heads, losses
from .layers.cache import Cache
from .layers.heads import Head
from .layers.inputs import Ask, Inputs, Memory
from .layers.run import Encoded
from .layers.sites import PLAIN, Patch, Sites
from .parallel import explicit

Labels = Mapping[str, jax.Array]


def _traces(encoded: Encoded) -> dict[str, Any]:
    return {"hidden_states": encoded.hidden_states, "attentions": encoded.attentions}


class Encoder(Model, task="", labels={}):
    """A model without a head: hidden states, and a pooled vector where it has a pooler."""

    @classmethod
    def finish(cls, scores: Any, encoded: Encoded, labels: Labels, config: Any) -> outputs.Output:
        """The encoder's result under the names that users know."""
        if encoded.pooled is None:
            return outputs.BaseModelOutput(last_hidden_state=encoded.state, **_traces(encoded))
        return outputs.BaseModelOutputWithPooling(
            last_hidden_state=encoded.state, pooler_output=encoded.pooled, **_traces(encoded)
        )


class Decoder(Model, task="", labels={}, prefix="model", also=("transformer",), accepts=CAUSAL):
    """A model without a head that reads in one direction: hidden states, and what the next tokens need of these."""

    @classmethod
    def finish(cls, scores: Any, encoded: Encoded, labels: Labels, config: Any) -> outputs.Output:
        """The decoder's result under the names that users know."""
        return outputs.BaseModelOutputWithPast(
            last_hidden_state=encoded.state, past_key_values=encoded.cache, **_traces(encoded)
        )


class Generative(Model, task="", labels={}):
    """What the loops of `generation` ask of models that write."""

    def loaded(self, sites: Sites = PLAIN) -> generation.LoadedModel:
        """The model as the loops of `generation` take it."""
        return generation.LoadedModel(type(self), self.prepared, self.config.bare(), sites)

    def helped_by(self, assistant: Any) -> Callable[[], generation.LoadedModel]:
        """A faster model, that drafts tokens, as `generation` takes it.

        Raises:
            ValueError: it is no model for causal language modelling, or has other words.
        """
        if not isinstance(assistant, Generative):
            raise ValueError(f"assistant_model={assistant!r:.60}: expected a model for causal language modelling")
        theirs, ours = assistant.config.target_vocab_size, self.config.target_vocab_size
        if theirs != ours:
            raise ValueError(
                f"assistant_model has {theirs} words, the model {ours}: an assistant has the same tokenizer"
            )
        return assistant.loaded

    def compute_transition_scores(
        self, sequences: Any, scores: Sequence[Any], beam_indices: Any = None, normalize_logits: bool = False
    ) -> jax.Array:
        """The score of each new token when it was chosen [rows, new tokens], from an output of `generate`.

        Args:
            sequences: of the output.
            scores: of the output.
            beam_indices: of the output of beams.
            normalize_logits: whether to make scores log-probabilities first.
        """
        return generation.transition_scores(sequences, scores, beam_indices, normalize_logits)

    def written(
        self,
        prompts: generation.Prompts,
        arguments: generation.Arguments,
        sites: Sites,
        trace: Callable[..., Any],
        key: jax.Array | int | None,
        past: Cache | None = None,
    ) -> Any:
        """What `generation.generate` makes of checked prompts."""
        write = functools.partial(generation.generate, prompts, arguments, runtime.platform_of(self.params))
        return explicit.call_on_host(write, self.loaded(sites), past, generation.key_of(key), trace)

    @classmethod
    def behind(cls, tokens: jax.Array, real: jax.Array | None, cache: Cache) -> Inputs:
        """Tokens behind those of a cache: ids [B, T] or vectors [B, T, D]."""
        ids, embeds = (tokens, None) if tokens.ndim == 2 else (None, tokens)
        return Inputs(ids=ids, embeds=embeds, mask=real, cache=cache)

    @classmethod
    def prefill(
        cls, params: Any, config: Any, tokens: jax.Array, real: jax.Array, cache: Cache, sites: Sites = PLAIN
    ) -> Cache:
        """The cache with tokens in it, ids [B, T] or vectors [B, T, D], of which real [B, T] is true."""
        return cls.network(params, config, cls.behind(tokens, real, cache), Ask(), sites).cache

    @classmethod
    def decode_step(
        cls,
        params: Any,
        config: Any,
        tokens: jax.Array,
        cache: Cache,
        real: jax.Array | None = None,
        sites: Sites = PLAIN,
    ) -> tuple[jax.Array, Cache]:
        """Logits float32 [B, T, V] of what follows each of tokens, ids [B, T] or vectors [B, T, D], and the cache with
        those in it of which real [B, T] is true; None: all.
        """
        encoded = cls.network(params, config, cls.behind(tokens, real, cache), Ask(), sites)
        scores = cls.following(cls.head.forward(params, config, encoded, sites))
        return scores.astype(jnp.float32), encoded.cache

    @classmethod
    def following(cls, scores: jax.Array) -> jax.Array:
        """Of what the head gives, the scores [B, T, V] of the token that follows each."""
        return scores


class CausalLM(Generative, task="CausalLM", labels={"labels": Label("target_vocab_size", per="token")}):
    """Scores of every word to follow each token; labels [B, T] with -100 where none counts, not shifted."""

    @classmethod
    def usual_head(cls, base: type[Architecture]) -> Head:
        """The word table, or one of its own."""
        return heads.words("lm_head")

    @generation.reporting_to_streamer
    def generate(
        self,
        input_ids: Any = None,
        generation_config: GenerationConfig | None = None,
        *,
        attention_mask: Any = None,
        token_type_ids: Any = None,
        inputs_embeds: Any = None,
        key: jax.Array | int | None = None,
        logits_processor: Sequence[Any] | None = None,
        stopping_criteria: Sequence[Any] | None = None,
        prefix_allowed_tokens_fn: Any = None,
        tokenizer: Any = None,
        streamer: Any = None,
        assistant_model: CausalLM | None = None,
        negative_prompt_ids: Any = None,
        negative_prompt_attention_mask: Any = None,
        past_key_values: Cache | None = None,
        capture: Sequence[str] | None = None,
        patch: Mapping[str, Patch] | None = None,
        **options: Any,
    ) -> Any:
        """Write on a batch of prompts: greedy search, sampling, beams or with an assistant, as the settings say.

        Args:
            input_ids: [batch, seq] prompts, padded on either side; None: each begins with bos_token_id, one row.
            generation_config: settings; without it the model's own, `model.generation_config`.
            attention_mask: [batch, seq], zero at padding. None: ids that are pad_token_id are padding, unless that ends
                rows too. With inputs_embeds it is theirs; None: of as many as the ids, as of these, else none is
                padding.
            token_type_ids: zeros, as tokenizers give them to models without token types, say nothing.
            inputs_embeds: [batch, embeds, dim] vectors that are read in the place of ids. Alone, what comes back is
                what is new, and max_length and min_length count the vectors too. Beside ids these come back in front,
                and penalties see them; where they are not as many, lengths count both.
            key: what draws go by, or a seed; `jax.random.key(0)` unless given. A row's draws depend on it and on the
                row's place alone, whatever the padding and the other rows.
            logits_processor: functions of a `generation.History` and scores [rows, vocab], run after all others.
            stopping_criteria: functions of ids [1, seq] and None that say whether to stop, asked for each row by itself
                (of beams: for the candidates of a row [candidates, seq], a bool for each).
            prefix_allowed_tokens_fn: (row, ids) → ids that may come next, or a `generation.TokenTrie`.
            tokenizer: for stop_strings.
            streamer: told each token as it comes, of one row (`TextStreamer`, `TextIteratorStreamer`).
            assistant_model: a faster model of the same vocabulary, whose drafts are verified (one row).
            negative_prompt_ids: [batch, seq] what guidance_scale leads away from.
            negative_prompt_attention_mask: [batch, seq].
            past_key_values: what is known of the first tokens of each prompt, which are not read again: the output's of
                an earlier call whose texts the prompts go on with.
            capture: names of sites, as in a call: the result is `(result, values by name)`, of all tokens but each
                row's last [rows, seq - 1, ...], from one more pass over the whole rows. Behind the end of a row they
                mean nothing.
            patch: as in a call: what stands at sites while prompts are read and tokens written. Arrays are the same
                for all rows and tokens; functions get one token or a part of a prompt, and must do the same to each
                token. Of attention_weights they get a number for each slot of the cache.
            **options: settings in place of the config's (`GenerationConfig`).

        Returns:
            int32 [batch · num_return_sequences, seq + new], prompts and new tokens, padding on the left of prompts and
            pad_token_id behind the end; with return_dict_in_generate an output.

        Raises:
            ValueError: an unknown option, settings that do not go together, or prompts that leave no room. What is
                raised is raised in the reader of a streamer too.
        """
        _check_spare(type(self), token_type_ids, options)
        if capture is not None and (inputs_embeds is not None or past_key_values is not None):
            spare = "past_key_values" if inputs_embeds is None else "inputs_embeds"
            raise ValueError(f"capture goes with prompts as input_ids: leave {spare} or capture out")
        names = tuple(name for name in inspect.signature(CausalLM.generate).parameters if name != "self")
        config = generation.merged(self.generation_config, generation_config, options, arguments=names)
        vectors = inputs_embeds
        if vectors is not None:
            vectors = np.asarray(batches.vectors(type(self), self.config, vectors))
        ids, mask = batches.prompts(
            type(self).__name__, input_ids, attention_mask, config.pad_token_id, config.eos, vectors
        )
        negative_ids, negative_mask = None, None
        if negative_prompt_ids is not None:
            negative_ids, negative_mask = batches.prompts(
                "negative_prompt_ids", negative_prompt_ids, negative_prompt_attention_mask, config.pad_token_id, ()
            )
        if past_key_values is not None:
            empty_cache = functools.partial(self.empty_cache, self.params, self.config, len(ids))
            batches.check_past(type(self).__name__, past_key_values, len(ids), empty_cache)
        arguments = generation.Arguments(
            logits_processor=logits_processor,
            stopping_criteria=stopping_criteria,
            prefix_allowed_tokens_fn=prefix_allowed_tokens_fn,
            tokenizer=tokenizer,
            streamer=streamer,
            assistant=None if assistant_model is None else self.helped_by(assistant_model),
        )
        batch = generation.Prompts.of(
            config,
            arguments,
            self.config,
            ids,
            mask,
            embeds=vectors,
            negative_ids=negative_ids,
            negative_mask=negative_mask,
        )
        _, sites = self.tapped(self.params, _one_token(), {}, Ask(), None, capture, patch)
        trace = jax.tree_util.Partial(functools.partial(_whole_rows, patch=patch), self)
        result = self.written(batch, arguments, sites, trace, key, past_key_values)
        if capture is None:
            return result
        rows, seen = _read_again(result, batch)
        return result, self(rows, seen, capture=capture, patch=patch)[1]

    @classmethod
    def finish(cls, scores: Any, encoded: Encoded, labels: Labels, config: Any) -> outputs.Output:
        """Scores [B, T, V] and the mean cross-entropy of each counted label under the scores before it."""
        loss: Any = losses.cross_entropy(scores[:, :-1], labels["labels"][:, 1:]) if labels else None
        return outputs.CausalLMOutputWithPast(
            loss=loss, logits=scores, past_key_values=encoded.cache, **_traces(encoded)
        )


def _read_again(result: Any, batch: generation.Prompts) -> tuple[jax.Array, np.ndarray]:
    """All tokens of a result's rows but each row's last, and their mask [R, T]."""
    rows = result["sequences"] if isinstance(result, outputs.Output) else result
    seen = np.repeat(batch.mask, len(rows) // len(batch.mask), axis=0)
    seen = np.pad(seen, [(0, 0), (0, rows.shape[1] - seen.shape[1])], constant_values=1)
    return rows[:, :-1], seen[:, :-1]


class AlignedCausalLM(CausalLM):
    """`CausalLM` with labels [B, T] of what follows each token, already shifted, as of decoders of BART's line."""

    @classmethod
    def finish(cls, scores: Any, encoded: Encoded, labels: Labels, config: Any) -> outputs.Output:
        """Scores [B, T, V] and the mean cross-entropy of each counted label under the scores at its place."""
        loss = losses.cross_entropy(scores, labels["labels"]) if labels else None
        return super().finish(scores, encoded, {}, config).replace(loss=loss)


class DirectedLM(CausalLM):
    """`CausalLM` of layers that most models of the architecture read in both directions."""

    @classmethod
    def check_direction(cls, config: Any) -> None:
        """Refuse a config that does not say that its layers are read in one direction."""
        if not config.is_decoder:
            raise ValueError(
                f"{cls.__name__} reads in one direction, and the config says is_decoder=False: pass is_decoder=True, "
                "and train the model for it if it was not"
            )


def _one_token() -> Inputs:
    """What the patches of loops are checked by: they must fit any number of rows and tokens."""
    return Inputs(ids=jnp.zeros((1, 1), jnp.int32))


def _prompts(ids: Any, mask: Any, embeds: Any) -> Inputs:
    """What a model reads of prompts: ids [B, T], or vectors [B, E, D] in their place."""
    return Inputs(ids=ids if embeds is None else None, embeds=embeds, mask=mask)


def _whole_rows(
    model: CausalLM,
    prompts: np.ndarray,
    new: np.ndarray,
    mask: np.ndarray,
    want: Mapping[str, bool],
    *,
    patch: Mapping[str, Patch] | None = None,
) -> dict[str, tuple[jax.Array, ...]]:
    """Hidden states and attentions of whole rows: prompts, ids [R, T] or vectors [R, T, D], then new ids [R, N], with
    the mask [R, T + N] of both.
    """
    asked: dict[str, Any] = {f"output_{name}": flag for name, flag in want.items()} | {"patch": patch}
    names = [name for name, flag in want.items() if flag]
    if prompts.ndim == 2:
        out = model(np.concatenate([prompts, new], axis=1), mask, **asked)
        return {name: out[name] for name in names}
    (rows, length), width = mask.shape, prompts.shape[1]
    cache = model.init_cache(rows, length)
    parts = [model(inputs_embeds=prompts, attention_mask=mask[:, :width], past_key_values=cache, **asked)]
    if new.size:
        parts.append(model(input_ids=new, past_key_values=parts[0].past_key_values, **asked))
    # In a cache tokens stand at their positions; in a row without one, at their places.
    slot = np.maximum(np.cumsum(mask, axis=1) - 1, 0)[:, None, None]
    placed = lambda odds: jnp.where(mask[:, None, None] != 0, jnp.take_along_axis(odds, slot, axis=-1), 0.0)  # noqa: E731
    joined = {
        name: tuple(jnp.concatenate(layer, axis=-2) for layer in zip(*(part[name] for part in parts), strict=True))
        for name in names
    }
    if want["attentions"]:
        joined["attentions"] = tuple(map(placed, joined["attentions"]))
    return joined


def _check_spare(cls: type[Generative], types: Any, options: Mapping[str, Any]) -> None:
    """Refuse what tokenizers give beside what `generate` takes, but for token types that say nothing.

    Raises:
        ValueError: it says what to leave out.
    """
    if spare := [name for name in options if name in batches.FOR_USERS]:
        raise ValueError(f"generate() takes no {spare[0]!r}, which the tokenizer gave for you: leave it out")
    if "token_type_ids" not in cls.accepts:
        batches.check_no_types(cls.__name__, types)
    elif types is not None:
        raise ValueError(
            f"{cls.__name__} takes token_type_ids as words that are added to others, and generate() adds none: leave "
            "token_type_ids out, or pass inputs_embeds"
        )


def generate(
    params: Any,
    model: CausalLM | Seq2SeqLM,
    input_ids: Any = None,
    attention_mask: Any = None,
    *,
    token_type_ids: Any = None,
    inputs_embeds: Any = None,
    decoder_input_ids: Any = None,
    key: jax.Array | None = None,
    generation_config: GenerationConfig | None = None,
    logits_processor: Sequence[Any] | None = None,
    prefix_allowed_tokens_fn: generation.TokenTrie | None = None,
    patch: Mapping[str, Patch] | None = None,
    **options: Any,
) -> jax.Array:
    """`model.generate` as a pure function of params and prompts, for `jit`, `vmap`, `shard_map` and the like.

    jax.jit(lambda params, ids, mask: generate(params, model, ids, mask, max_new_tokens=32))

    Args:
        params: a tree of the model's structure.
        model: says what is computed; its own params are not read.
        input_ids: [batch, seq] prompts, or sources of a model with an encoder, padded on either side; may be traced.
        attention_mask: [batch, seq], zero at padding. None: ids that are pad_token_id are padding, unless that ends
            rows too.
        token_type_ids: as of `model.generate`; traced ones are taken as zeros.
        inputs_embeds: [batch, embeds, dim] as of `model.generate`; may be traced.
        decoder_input_ids: [batch, begin] what rows begin with beside a source, decoder_start_token_id and all; may be
            traced. None: that alone.
        key: what draws go by.
        generation_config: settings; without it the model's own.
        logits_processor: functions of a `generation.History` and scores [rows, vocab], run after all others.
        prefix_allowed_tokens_fn: a `generation.TokenTrie`; functions need the host.
        patch: as of `model.generate`; arrays may be traced.
        **options: settings in place of the config's.

    Returns:
        int32 [batch, seq + max_new_tokens], beside a source [batch, begin + max_new_tokens]: with one program there is
        one length, so rows that end early are filled.

    Raises:
        ValueError: an unknown option, or one that needs the host between tokens (stop_strings, beams, an assistant).
    """
    trie = prefix_allowed_tokens_fn
    if trie is not None and not isinstance(trie, generation.TokenTrie):
        raise ValueError(
            "prefix_allowed_tokens_fn: a function needs the host between tokens: use model.generate, or a TokenTrie"
        )
    _check_spare(type(model), token_type_ids, options)
    config = generation.merged(model.generation_config, generation_config, options)
    if input_ids is None and inputs_embeds is None:
        raise ValueError("generate: pass input_ids or inputs_embeds")
    vectors = None if inputs_embeds is None else batches.vectors(type(model), model.config, inputs_embeds)
    rows = 0 if vectors is None else len(vectors)
    ids = jnp.zeros((rows, 0), jnp.int32) if input_ids is None else jnp.asarray(input_ids)
    if ids.ndim != 2:
        raise ValueError(f"generate: input_ids must be [batch, seq], found {tuple(ids.shape)}: pass input_ids[None]")
    if ids.size and not jnp.issubdtype(ids.dtype, jnp.integer):
        raise ValueError(f"generate: input_ids must be whole numbers, found {ids.dtype}")
    mask, pad = attention_mask, config.pad_token_id
    shape = batches.shape_read("generate", ids, mask, vectors)
    if mask is None:
        mask = jnp.ones(shape, bool) if pad is None or pad in config.eos or ids.shape != shape else ids != pad

    arguments = generation.Arguments(logits_processor=logits_processor, prefix_allowed_tokens_fn=trie)
    batch, source, one = _prompts(ids, mask, vectors), None, _one_token()
    if isinstance(model, Seq2SeqLM):
        batches.check_tokens(type(model), model.config, batch)
        source, vectors, one = batch, None, model.one_source(None)
        starts = (
            generation.first_tokens(config, model.config, len(ids)) if decoder_input_ids is None else decoder_input_ids
        )
        ids = jnp.asarray(starts)
        mask = jnp.ones(ids.shape, bool)
    elif decoder_input_ids is not None:
        raise ValueError(f"{type(model).__name__} has no encoder: decoder_input_ids are its input_ids")
    _, sites = model.tapped(params, one, {}, Ask(), None, None, patch)

    def write(params: Any, ids: Any, mask: Any, embeds: Any, source: Any, key: Any, sites: Sites) -> jax.Array:
        loaded = generation.LoadedModel(type(model), params, model.config.bare(), sites)
        return generation.generate_traced(loaded, config, arguments, ids, mask, embeds=embeds, source=source, key=key)

    return explicit.call(write, batch, params, ids, mask, vectors, source, generation.key_of(key), sites)


class EncoderDecoder(Model, task="", labels={}, accepts=TWO_SIDED, packs=False):
    """A model whose decoder reads what its encoder has read."""

    @classmethod
    def arrange(cls, config: Any, inputs: Inputs, labels: Labels) -> Inputs:
        """The encoder's ids for a decoder that got none, in models that were made so."""
        return _with_target(inputs, config, inputs.ids)

    def encode(
        self,
        input_ids: Any = None,
        attention_mask: Any = None,
        *,
        inputs_embeds: Any = None,
        params: Any = None,
        **flags: Any,
    ) -> outputs.BaseModelOutput:
        """What the encoder makes of sources, for `encoder_outputs=` of calls, of `decode` and of `generate`.

        Args:
            input_ids: [batch, seq].
            attention_mask: [batch, seq], zero at padding.
            inputs_embeds: [batch, seq, dim] in the place of ids.
            params: a tree of this model's structure: then it is a pure function of that, without jit, as `apply`.
            **flags: output_hidden_states, output_attentions.

        Raises:
            TypeError, ValueError: as in a call.
        """
        given = {"input_ids": input_ids, "attention_mask": attention_mask, "inputs_embeds": inputs_embeds, **flags}
        batch, _, ask, _ = batches.read(type(self), self.config, (), given)
        batches.check_tokens(type(self), self.config, batch)
        if params is None:
            return _encoded(type(self), self.params, self.config.bare(), batch, ask)
        return jaxformers_encode(type(self), params, self.config.bare(), batch, ask)

    def decode(
        self,
        decoder_input_ids: Any = None,
        encoder_outputs: Any = None,
        encoder_attention_mask: Any = None,
        *,
        params: Any = None,
        **inputs: Any,
    ) -> Any:
        """The model's output for what the decoder reads, beside what the encoder has made.

        Args:
            decoder_input_ids: [batch, seq].
            encoder_outputs: of `encode`.
            encoder_attention_mask: [batch, source], as `encode` got it.
            params: as of `encode`.
            **inputs: `decoder_attention_mask`, `decoder_inputs_embeds`, `past_key_values`, `labels` and flags, as in a
                call.

        Raises:
            TypeError, ValueError: as in a call.
        """
        call = self if params is None else functools.partial(self.apply, params)
        given = {"encoder_outputs": encoder_outputs, "attention_mask": encoder_attention_mask}
        return call(**given, decoder_input_ids=decoder_input_ids, **inputs)

    def init_cache(
        self, batch_size: int, max_length: int, encoder_outputs: Any = None, encoder_attention_mask: Any = None
    ) -> Cache:
        """A cache for `past_key_values=`, with room for `max_length` tokens in each of `batch_size` rows.

        Args:
            batch_size: rows.
            max_length: tokens of the decoder.
            encoder_outputs: of `encode`: their keys and values are in the cache, and steps need them no more.
            encoder_attention_mask: [batch, source], as `encode` got it.

        Raises:
            ValueError: a size below 1, or encoder_outputs of other rows, or none.
        """
        owner = type(self).__name__
        if min(batch_size, max_length) < 1:
            raise ValueError(f"init_cache({batch_size}, {max_length}): expected rows and tokens, 1 or more of each")
        if encoder_outputs is None:
            raise ValueError(f"{owner}.init_cache: pass encoder_outputs, as model.encode gives them")
        memory = batches.memory(type(self), self.config, encoder_outputs, encoder_attention_mask)
        if len(memory.state) != batch_size:
            raise ValueError(
                f"{owner}.init_cache: {len(memory.state)} rows of encoder_outputs, {batch_size} of the cache"
            )
        memory = self.network.bridge(self.params, self.config, memory)
        return self.network.begin(self.params, self.config, memory, batch_size, max_length)


def jaxformers_encode(cls: type[Model], params: Any, config: Any, inputs: Inputs, ask: Ask) -> outputs.BaseModelOutput:
    """The encoder of a model with both sides."""
    runtime.note_shapes(inputs)

    def encode(params: Any, inputs: Inputs) -> outputs.BaseModelOutput:
        encoded = cls.network.read_source(params, config, inputs, ask)
        return outputs.BaseModelOutput(last_hidden_state=encoded.state, **_traces(encoded))

    return explicit.call(encode, inputs, params, inputs)


_encoded = jax.jit(jaxformers_encode, static_argnums=0)


class Seq2Seq(EncoderDecoder, task="", labels={}):
    """A model without a head: hidden states of the decoder's tokens."""

    @classmethod
    def finish(cls, scores: Any, encoded: Encoded, labels: Labels, config: Any) -> outputs.Output:
        """The decoder's result under the names that users know."""
        return outputs.Seq2SeqModelOutput(last_hidden_state=encoded.state, **_both_sides(encoded))


class Seq2SeqLM(
    Generative, EncoderDecoder, task="Seq2SeqLM", labels={"labels": Label("target_vocab_size", per="target")}
):
    """Scores of every word to follow each of the decoder's tokens; labels [B, T] with -100 where none counts, which
    the decoder reads shifted by one where no decoder_input_ids are given.
    """

    @classmethod
    def usual_head(cls, base: type[Architecture]) -> Head:
        """The word table, or one of its own."""
        return heads.words("lm_head")

    @generation.reporting_to_streamer
    def generate(
        self,
        input_ids: Any = None,
        generation_config: GenerationConfig | None = None,
        *,
        attention_mask: Any = None,
        token_type_ids: Any = None,
        inputs_embeds: Any = None,
        encoder_outputs: Any = None,
        decoder_input_ids: Any = None,
        decoder_attention_mask: Any = None,
        key: jax.Array | int | None = None,
        logits_processor: Sequence[Any] | None = None,
        stopping_criteria: Sequence[Any] | None = None,
        prefix_allowed_tokens_fn: Any = None,
        tokenizer: Any = None,
        streamer: Any = None,
        assistant_model: Seq2SeqLM | None = None,
        capture: Sequence[str] | None = None,
        patch: Mapping[str, Patch] | None = None,
        **options: Any,
    ) -> Any:
        """Write what follows from a batch of sources: greedy search, sampling, beams or with an assistant, as the
        settings say.

        Args:
            input_ids: [batch, seq] sources, padded on either side.
            generation_config: settings; without it the model's own, `model.generation_config`.
            attention_mask: [batch, seq], zero at padding. None: ids that are pad_token_id are padding.
            token_type_ids: zeros, as tokenizers give them, say nothing.
            inputs_embeds: [batch, seq, dim] sources as vectors.
            encoder_outputs: what `encode` has made of the sources, in their place; attention_mask is theirs.
            decoder_input_ids: [batch, new] what each row begins with; decoder_start_token_id, which may be one a row,
                is put in front where it is not there. None: that alone. Where nobody says it, it is bos_token_id.
            decoder_attention_mask: [batch, new], zero at padding.
            key: what draws go by, or a seed; `jax.random.key(0)` unless given.
            logits_processor: functions of a `generation.History` and scores [rows, vocab], run after all others.
            stopping_criteria: functions of ids [1, seq] and None that say whether to stop.
            prefix_allowed_tokens_fn: (row, ids) → ids that may come next, or a `generation.TokenTrie`.
            tokenizer: for stop_strings.
            streamer: told each token as it comes, of one row.
            assistant_model: a faster model of the same vocabulary that drafts tokens (one row). Without one,
                prompt_lookup_num_tokens drafts what followed the last words before, in the row or in the source.
            capture: names of sites, as in a call: the result is `(result, values by name)`, of the sources and of all
                tokens but each row's last, from one more pass over both.
            patch: as in a call: what stands at sites while sources are read and tokens written. Arrays are the same
                for all rows and tokens; functions get one token, and must do the same to each.
            **options: settings in place of the config's (`GenerationConfig`), and what the architecture's encoder alone
                takes of sources (LED's `global_attention_mask`).

        Returns:
            int32 [batch · num_return_sequences, new], each row from its decoder_start_token_id on; with
            return_dict_in_generate an output.

        Raises:
            ValueError: an unknown option, settings that do not go together, an empty source, or prompts that leave no
                room.
        """
        owner = type(self).__name__
        if spare := [name for name in options if name in batches.FOR_USERS]:
            raise ValueError(f"generate() takes no {spare[0]!r}, which the tokenizer gave for you: leave it out")
        batches.check_no_types(owner, token_type_ids)
        beside: Any = batches.of_sources(type(self), options)
        options = {name: value for name, value in options.items() if name not in self.beside}
        names = tuple(name for name in inspect.signature(Seq2SeqLM.generate).parameters if name != "self")
        config = generation.merged(self.generation_config, generation_config, options, arguments=names)
        if config.guided:
            raise ValueError(
                f"guidance_scale={config.guidance_scale}: {owner} reads a source: leave guidance_scale out"
            )
        if encoder_outputs is not None and assistant_model is not None:
            raise ValueError("encoder_outputs are one model's: pass input_ids, which the assistant reads too")
        source = self._source(input_ids, attention_mask, inputs_embeds, encoder_outputs, beside)
        (kind, tokens), (_, seen), *_ = source.items()
        ids, mask = self._beginnings(config, len(seen), decoder_input_ids, decoder_attention_mask)
        arguments = generation.Arguments(
            logits_processor=logits_processor,
            stopping_criteria=stopping_criteria,
            prefix_allowed_tokens_fn=prefix_allowed_tokens_fn,
            tokenizer=tokenizer,
            streamer=streamer,
            assistant=None if assistant_model is None else self.helped_by(assistant_model),
        )
        ends = [int(np.flatnonzero(real).max()) + 1 for real in seen]
        sources = [
            (tokens[row, :end], seen[row, :end], {name: array[row, :end] for name, array in beside.items()})
            for row, end in enumerate(ends)
        ]
        encoded = kind == "encoder_outputs"
        batch = generation.Prompts.of(config, arguments, self.config, ids, mask, sources=sources, encoded=encoded)
        one = self.one_source(tokens if encoded else None)
        _, sites = self.tapped(self.params, one, {}, Ask(), None, capture, patch)
        trace = jax.tree_util.Partial(functools.partial(_both_sides_whole, patch=patch), self, source)
        result = self.written(batch, arguments, sites, trace, key)
        if capture is None:
            return result
        rows, real = _read_again(result, batch)
        whole = _repeated(source, len(rows)) | {"decoder_input_ids": rows, "decoder_attention_mask": real}
        return result, self(**whole, capture=capture, patch=patch)[1]

    def _source(
        self, ids: Any, mask: Any, embeds: Any, encoded: Any, beside: Mapping[str, Any]
    ) -> dict[str, np.ndarray]:
        """What is written from as keywords of a call, checked: ids, vectors or states, their mask [B, S], and what the
        architecture alone takes.
        """
        owner = type(self).__name__
        if sum(given is not None for given in (ids, embeds, encoded)) != 1:
            raise ValueError(f"{owner}: pass input_ids or inputs_embeds, or encoder_outputs: what is written from")
        if encoded is None:
            vectors = None if embeds is None else np.asarray(batches.vectors(type(self), self.config, embeds))
            read, seen = batches.prompts(owner, ids, mask, self.config.pad_token_id, (), vectors)
            batch = dataclasses.replace(_prompts(read, seen, vectors), beside=beside)
            batches.check_tokens(type(self), self.config, batch)
            source = {"input_ids": read} if vectors is None else {"inputs_embeds": vectors}
        else:
            memory = batches.memory(type(self), self.config, encoded, mask)
            source, seen = {"encoder_outputs": np.asarray(memory.state)}, np.asarray(memory.mask)
        if not (seen != 0).any(1).all():
            raise ValueError(f"{owner}: attention_mask hides all of a source: it must show one token at least")
        return {**source, "attention_mask": seen.astype(np.int32), **(beside if encoded is None else {})}

    @staticmethod
    def one_source(states: np.ndarray | None) -> Inputs:
        """What the patches of loops are checked by: one token on each side, of states [B, S, D] the first."""
        if states is None:
            return dataclasses.replace(_one_token(), target=_one_token())
        memory = Memory(jnp.asarray(states[:1, :1]), jnp.ones((1, 1), bool))
        return Inputs(memory=memory, target=_one_token())

    def _beginnings(
        self, settings: GenerationConfig, rows: int, given: Any, shown: Any
    ) -> tuple[np.ndarray, np.ndarray]:
        """What rows begin with [B, T], the decoder's first token in front, and the mask."""
        owner, mask = type(self).__name__, np.ones((rows, 1), np.int32)
        ids = generation.first_tokens(settings, self.config, rows)
        if given is None:
            return ids, mask
        given, shown = batches.prompts("decoder_input_ids", given, shown, None, ())
        if len(given) != rows:
            raise ValueError(f"{owner}: {len(given)} rows of decoder_input_ids beside {rows} sources")
        if not given.shape[1]:
            raise ValueError(f"{owner}: decoder_input_ids is empty: leave it out to begin with decoder_start_token_id")
        if (given[np.arange(rows), np.argmax(shown != 0, axis=1)] == ids[:, 0]).all():
            return given, shown
        return np.concatenate([ids, given], axis=1), np.concatenate([mask, shown], axis=1)

    @classmethod
    def begin(cls, params: Any, config: Any, source: Inputs, rows: int, slots: int, sites: Sites = PLAIN) -> Cache:
        """A cache without tokens that has what the encoder makes, or has made, of sources, a row each."""
        return cls.network.begin(params, config, cls.network.remember(params, config, source, sites), rows, slots)

    @classmethod
    def behind(cls, tokens: jax.Array, real: jax.Array | None, cache: Cache) -> Inputs:
        """Tokens behind those of a cache, for the decoder."""
        return Inputs(target=super().behind(tokens, real, cache))

    @classmethod
    def arrange(cls, config: Any, inputs: Inputs, labels: Labels) -> Inputs:
        """The labels for the decoder, shifted by one, or the encoder's ids in models that were made so."""
        return _with_target(inputs, config, labels.get("labels", inputs.ids))

    @classmethod
    def finish(cls, scores: Any, encoded: Encoded, labels: Labels, config: Any) -> outputs.Output:
        """Scores [B, T, V] and the mean cross-entropy of each counted label under the scores at its place."""
        loss: Any = losses.cross_entropy(scores, labels["labels"]) if labels else None
        return outputs.Seq2SeqLMOutput(loss=loss, logits=scores, **_both_sides(encoded))


def _repeated(source: Mapping[str, np.ndarray], rows: int) -> dict[str, Any]:
    """Sources for `rows` rows, several beside each other for one."""
    return {name: np.repeat(array, rows // len(array), axis=0) for name, array in source.items()}


def _both_sides_whole(
    model: Seq2SeqLM,
    source: Mapping[str, np.ndarray],
    prompts: np.ndarray,
    new: np.ndarray,
    mask: np.ndarray,
    want: Mapping[str, bool],
    *,
    patch: Mapping[str, Patch] | None = None,
) -> dict[str, tuple[jax.Array, ...]]:
    """Hidden states and attentions of sources [B, S] and of whole rows: prompts [R, T], then new ids [R, N], with the
    mask [R, T + N] of both.
    """
    asked: dict[str, Any] = {f"output_{name}": flag for name, flag in want.items()} | {"patch": patch}
    rows = {"decoder_input_ids": np.concatenate([prompts, new], axis=1), "decoder_attention_mask": mask}
    out = model(**_repeated(source, len(prompts)) | rows | asked)
    copies = len(prompts) // len(source["attention_mask"])
    once = lambda name, layer: layer[::copies] if name.startswith("encoder_") else layer  # noqa: E731
    kinds = [name for name, flag in want.items() if flag]
    told = {field.name for field in dataclasses.fields(outputs.Seq2SeqLMOutput)}
    names = [name for name in out if name in told and any(name.endswith(f"_{kind}") for kind in kinds)]
    return {name: tuple(once(name, layer) for layer in out[name]) for name in names}


def _with_target(inputs: Inputs, config: Any, ids: Any) -> Inputs:
    """Inputs whose decoder reads ids [B, T] shifted by one, if it has got nothing else."""
    target = inputs.target or Inputs()
    if target.ids is not None or target.embeds is not None:
        return inputs
    ids = jnp.where(ids == losses.IGNORED, config.pad_token_id, ids)
    if config.wraps:  # the last token, a language's code, stands in front
        start = jnp.take_along_axis(ids, (ids != config.pad_token_id).sum(1, keepdims=True) - 1, axis=1)
    else:
        start = jnp.full_like(ids[:, :1], config.decoder_start_token_id)
    shifted = jnp.concatenate([start, ids[:, :-1]], axis=1)
    return dataclasses.replace(inputs, target=dataclasses.replace(target, ids=shifted))


def _both_sides(encoded: Encoded) -> dict[str, Any]:
    """The fields of both sides that outputs share."""
    encoder = encoded.encoder
    return {
        "past_key_values": encoded.cache,
        "decoder_hidden_states": encoded.hidden_states,
        "decoder_attentions": encoded.attentions,
        "cross_attentions": encoded.cross_attentions,
        "encoder_last_hidden_state": encoder and encoder.state,
        "encoder_hidden_states": encoder and encoder.hidden_states,
        "encoder_attentions": encoder and encoder.attentions,
    }


class MaskedLM(Model, task="MaskedLM", labels={"labels": Label("vocab_size", per="token")}):
    """Scores of every word at every place; labels [B, T] with -100 where none counts."""

    @classmethod
    def finish(cls, scores: Any, encoded: Encoded, labels: Labels, config: Any) -> outputs.Output:
        """Scores [B, T, V] and their mean cross-entropy over counted labels."""
        loss: Any = losses.cross_entropy(scores, labels["labels"]) if labels else None
        return outputs.MaskedLMOutput(loss=loss, logits=scores, **_traces(encoded))


class SequenceClassification(Model, task="SequenceClassification", labels={"labels": Label("num_labels")}):
    """Scores of each label for a text; labels [B] (one class, or a value) or [B, num_labels]."""

    @classmethod
    def usual_head(cls, base: type[Architecture]) -> Head:
        """Of decoders scores of a text's last token; each encoder has its own."""
        return heads.last_token() if base.network.decode is not None else super().usual_head(base)

    @classmethod
    def finish(cls, scores: Any, encoded: Encoded, labels: Labels, config: Any) -> outputs.Output:
        """Scores [B, num_labels] and the loss by config.problem_type."""
        loss: Any = losses.classification(scores, labels["labels"], config.problem_type) if labels else None
        return outputs.SequenceClassifierOutput(loss=loss, logits=scores, **_traces(encoded))


class Seq2SeqSequenceClassification(SequenceClassification, EncoderDecoder):
    """`SequenceClassification` of a text that both sides read, by the decoder's state at its last eos_token_id; the
    decoder reads the text shifted by one, where no decoder_input_ids of its length are given.
    """

    @classmethod
    def usual_head(cls, base: type[Architecture]) -> Head:
        """A dense layer, tanh and scores of the state at the last eos_token_id."""
        return heads.last_end()

    @classmethod
    def check_batch(cls, config: Any, inputs: Inputs) -> None:
        """Every text has an end, and as many of them as the others; the decoder's rows are as long as the encoder's."""
        owner, ids, target = cls.__name__, inputs.ids, inputs.target
        if ids is None:
            raise ValueError(f"{owner} scores a text by the place of its eos_token_id: pass input_ids")
        tokens = target and (target.embeds if target.ids is None else target.ids)
        if tokens is not None and tokens.shape[:2] != ids.shape:
            raise ValueError(
                f"{owner}: decoder_input_ids has shape {tuple(tokens.shape[:2])}, input_ids {tuple(ids.shape)}: the "
                "decoder's state is read where the text has its eos_token_id"
            )
        if isinstance(ids, np.ndarray):
            counts = heads.ends_of(ids, config.eos_token_id).sum(1)
            if (counts == 0).any() or (counts != counts[0]).any():
                raise ValueError(
                    f"{owner}: rows of input_ids have {', '.join(map(str, counts[:8]))} times "
                    f"eos_token_id={config.eos_token_id}: expected the same number in all, one or more"
                )

    @classmethod
    def finish(cls, scores: Any, encoded: Encoded, labels: Labels, config: Any) -> outputs.Output:
        """Scores [B, num_labels] and the loss by config.problem_type."""
        loss: Any = losses.classification(scores, labels["labels"], config.problem_type) if labels else None
        return outputs.Seq2SeqSequenceClassifierOutput(loss=loss, logits=scores, **_both_sides(encoded))


class NextSentencePrediction(Model, task="NextSentencePrediction", labels={"labels": Label(2)}):
    """Whether the second text follows the first; labels [B], 0 where it does."""

    @classmethod
    def finish(cls, scores: Any, encoded: Encoded, labels: Labels, config: Any) -> outputs.Output:
        """Scores [B, 2] and their cross-entropy."""
        loss: Any = losses.cross_entropy(scores, labels["labels"].reshape(-1)) if labels else None
        return outputs.NextSentencePredictorOutput(loss=loss, logits=scores, **_traces(encoded))


class TokenClassification(Model, task="TokenClassification", labels={"labels": Label("num_labels", per="token")}):
    """Scores of each label for every token; labels [B, T] with -100 where none counts."""

    @classmethod
    def usual_head(cls, base: type[Architecture]) -> Head:
        """Scores of every token."""
        if base.network.decode is not None:
            return heads.each_token("score", rate=heads.token_rate)
        return heads.each_token(rate=heads.classifier_rate)

    @classmethod
    def finish(cls, scores: Any, encoded: Encoded, labels: Labels, config: Any) -> outputs.Output:
        """Scores [B, T, num_labels] and their mean cross-entropy over counted labels."""
        loss: Any = losses.cross_entropy(scores, labels["labels"]) if labels else None
        return outputs.TokenClassifierOutput(loss=loss, logits=scores, **_traces(encoded))


class QuestionAnswering(Model, task="QuestionAnswering", labels={"start_positions": Label(), "end_positions": Label()}):
    """Where in a context the answer starts and ends; start_positions and end_positions [B]."""

    @classmethod
    def usual_head(cls, base: type[Architecture]) -> Head:
        """Scores of every token, to be the first and the last of an answer."""
        return heads.span()

    @classmethod
    def prefix_on(cls, base: type[Architecture]) -> str:
        """Of most decoders torch Transformers has another one here."""
        return base.also[0] if base.network.decode is not None and base.prefix == "model" else base.prefix

    @classmethod
    def finish(cls, scores: Any, encoded: Encoded, labels: Labels, config: Any) -> outputs.Output:
        """Start and end scores [B, T] and the mean of their cross-entropies."""
        start, end = scores[..., 0], scores[..., 1]
        loss: Any = (
            losses.span(start, end, labels["start_positions"], labels["end_positions"]) if len(labels) == 2 else None
        )
        return outputs.QuestionAnsweringModelOutput(loss=loss, start_logits=start, end_logits=end, **_traces(encoded))


class Seq2SeqQuestionAnswering(QuestionAnswering, EncoderDecoder):
    """`QuestionAnswering` by the states of a decoder, which reads the text shifted by one where it gets no other."""

    @classmethod
    def prefix_on(cls, base: type[Architecture]) -> str:
        """That of the base model."""
        return base.prefix

    @classmethod
    def finish(cls, scores: Any, encoded: Encoded, labels: Labels, config: Any) -> outputs.Output:
        """Start and end scores [B, T] and the mean of their cross-entropies."""
        start, end = scores[..., 0], scores[..., 1]
        loss: Any = None
        if len(labels) == 2:
            loss = losses.span(start, end, labels["start_positions"], labels["end_positions"])
        return outputs.Seq2SeqQuestionAnsweringModelOutput(
            loss=loss, start_logits=start, end_logits=end, **_both_sides(encoded)
        )


class MultipleChoice(Model, task="MultipleChoice", labels={"labels": Label("choices")}, axes=3):
    """Which of C continuations fits best: inputs [B, C, T], labels [B]."""

    @classmethod
    def arrange(cls, config: Any, inputs: Inputs, labels: Labels) -> Inputs:
        """Every choice as a row of its own."""
        tokens = inputs.ids if inputs.ids is not None else inputs.embeds
        assert tokens is not None
        count = tokens.shape[1]
        flat = lambda x: x.reshape(-1, *x.shape[2:]) if x.ndim > 1 else x.repeat(count)  # noqa: E731
        return dataclasses.replace(jax.tree.map(flat, inputs), choices=count)

    @classmethod
    def finish(cls, scores: Any, encoded: Encoded, labels: Labels, config: Any) -> outputs.Output:
        """Scores [B, C] from one of each row [B·C, 1], and their cross-entropy."""
        scores = scores.reshape(-1, encoded.inputs.choices)
        loss: Any = losses.cross_entropy(scores, labels["labels"].reshape(-1)) if labels else None
        return outputs.MultipleChoiceModelOutput(loss=loss, logits=scores, **_traces(encoded))


class PreTraining(
    Model,
    task="PreTraining",
    labels={"labels": Label("vocab_size", per="token"), "next_sentence_label": Label(2)},
):
    """Masked words and the next sentence at once; labels [B, T], next_sentence_label [B]."""

    @classmethod
    def finish(cls, scores: Any, encoded: Encoded, labels: Labels, config: Any) -> outputs.Output:
        """Scores [B, T, V] and [B, 2], and the sum of both losses."""
        words, follows = scores
        loss: Any = None
        if len(labels) == 2:
            loss = losses.cross_entropy(words, labels["labels"])
            loss += losses.cross_entropy(follows, labels["next_sentence_label"].reshape(-1))
        return outputs.PreTrainingOutput(
            loss=loss, prediction_logits=words, seq_relationship_logits=follows, **_traces(encoded)
        )


class OrderPreTraining(
    Model,
    task="PreTraining",
    labels={"labels": Label("vocab_size", per="token"), "sentence_order_label": Label("num_labels")},
):
    """Masked words, and whether two segments stand in their order; labels [B, T], sentence_order_label [B]."""

    @classmethod
    def finish(cls, scores: Any, encoded: Encoded, labels: Labels, config: Any) -> outputs.Output:
        """Scores [B, T, V] and [B, num_labels], and the sum of both losses."""
        words, order = scores
        loss: Any = None
        if len(labels) == 2:
            loss = losses.cross_entropy(words, labels["labels"])
            loss += losses.cross_entropy(order, labels["sentence_order_label"].reshape(-1))
        return outputs.OrderPreTrainingOutput(loss=loss, prediction_logits=words, sop_logits=order, **_traces(encoded))


class ReplacedTokens(Model, task="PreTraining", labels={"labels": Label(2, per="token")}):
    """Whether each token was put in place of another, as ELECTRA was trained; labels [B, T], 1 where it was."""

    @classmethod
    def finish(cls, scores: Any, encoded: Encoded, labels: Labels, config: Any) -> outputs.Output:
        """Scores [B, T] and their loss over what is no padding."""
        loss: Any = None
        if labels:
            loss = losses.yes_or_no(
                scores, jnp.where(encoded.inputs.segment_ids != 0, labels["labels"], losses.IGNORED)
            )
        return outputs.ReplacedTokensOutput(loss=loss, logits=scores, **_traces(encoded))
