"""Files of weights to named arrays and back: safetensors, torch pickles, flax msgpack."""
