"""The random numbers of TensorFlow's stateless generators, without TensorFlow.

A training under JAX or PyTorch sees the order and the crops that one under TensorFlow sees. The generator is Philox
4x32 with ten rounds. The order is a permutation by the block cipher Simon with four rounds: numbers beyond the last
index are encrypted again.

References: Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3". Beaulieu et al. 2013,
https://eprint.iacr.org/2013/404. Black and Rogaway 2002, "Ciphers with arbitrary finite domains".
"""

import math
from collections.abc import Iterator

import numpy as np

from tfseg.types import Array

Seed = tuple[int, int]
"""Two integers of 64 bits."""

_WORD = 0xFFFFFFFF
_PHILOX_FACTORS = 0xD2511F53, 0xCD9E8D57
# Steps by which the key grows from round to round.
_PHILOX_STEPS = 0x9E3779B9, 0xBB67AE85
# The key with which TensorFlow mixes the two numbers of a seed.
_SEED_KEY = 0x3EC8F720, 0x02461E29
# The paper's sequence for keys of three words, its first bit lowest.
_SIMON_SEQUENCE = 0x7369F885192C0EF5
_SIMON_ROUNDS = 4
_FIRST_KEY = 498247692  # the word that TensorFlow puts before the two of a seed
_SMALLEST_BLOCK = 16  # bits


def uniform(seed: Seed, count: int = 1, low: float = 0.0, high: float = 1.0) -> Array:
    """Random float32 numbers `(count,)`, what `tf.random.stateless_uniform` gives for int64 seeds.

    Args:
        seed: two integers; equal seeds give equal numbers.
        count: number of numbers.
        low: smallest number.
        high: the number that all are below.
    """
    words = _words(seed)
    bits = np.array([next(words) & 0x7FFFFF | 0x3F800000 for _ in range(count)], "uint32")
    ones = bits.view("float32") - np.float32(1)  # the bits are those of numbers from 1 to 2
    return ones * (np.float32(high) - np.float32(low)) + np.float32(low)


def split(seed: Seed, count: int) -> list[Seed]:
    """Several seeds from one, as `tf.random.split` makes them from an int64 seed.

    Args:
        seed: two integers.
        count: number of seeds.
    """
    words = _words(seed)
    numbers = [next(words) | next(words) << 32 for _ in range(2 * count)]
    return [(numbers[index], numbers[index + 1]) for index in range(0, 2 * count, 2)]


def fold_in(seed: Seed, data: int) -> Seed:
    """Another seed, as `tf.random.fold_in` makes it from an int64 seed and an integer of 32 bits.

    Args:
        seed: two integers.
        data: an integer from 0 on, below 2^31.
    """
    word = next(_words(seed))
    return (word if word < 1 << 31 else word | _WORD << 32), data


def shuffled_index(index: int, seed: tuple[int, int], last: int) -> int:
    """The place of an index in a random order, as `tf.random.experimental.index_shuffle` gives it.

    Args:
        index: a number from 0 to `last`.
        seed: two integers of 32 bits; they decide the order.
        last: the last index.
    """
    if last == 0:
        return 0
    bits = math.ceil(math.log2(last))
    width = max(bits + bits % 2, _SMALLEST_BLOCK) // 2  # of half a block
    keys = _simon_keys((_FIRST_KEY, *seed), width)
    while True:
        index = _encrypted(index, keys, width)
        if index <= last:
            return index


def _words(seed: Seed) -> Iterator[int]:
    """Random numbers of 32 bits without end."""
    first, second = (number & 0xFFFFFFFFFFFFFFFF for number in seed)
    mixed = _philox((first & _WORD, first >> 32, second & _WORD, second >> 32), _SEED_KEY)
    counter = 0
    while True:
        yield from _philox((counter & _WORD, counter >> 32, mixed[2], mixed[3]), (mixed[0], mixed[1]))
        counter += 1


def _philox(counter: tuple[int, int, int, int], key: tuple[int, int]) -> tuple[int, int, int, int]:
    """Four random numbers of 32 bits."""
    for number in range(10):
        left, right = ((word + number * step) & _WORD for word, step in zip(key, _PHILOX_STEPS, strict=True))
        first, second = counter[0] * _PHILOX_FACTORS[0], counter[2] * _PHILOX_FACTORS[1]
        counter = (second >> 32) ^ counter[1] ^ left, second & _WORD, (first >> 32) ^ counter[3] ^ right, first & _WORD
    return counter


def _simon_keys(key: tuple[int, int, int], width: int) -> list[int]:
    """The keys of the rounds, from three words."""
    ones = (1 << width) - 1
    keys = [word & ones for word in key]
    for number in range(3, _SIMON_ROUNDS):
        turned = _turned(keys[-1], -3, width) ^ _turned(keys[-1], -4, width)
        keys.append(0xFFFFFFFC & ones ^ (_SIMON_SEQUENCE >> number - 3 & 1) ^ keys[-3] ^ turned)
    return keys


def _encrypted(block: int, keys: list[int], width: int) -> int:
    ones = (1 << width) - 1
    left, right = block >> width & ones, block & ones  # TensorFlow's block is a bit too small for a last index of 2^16
    for key in keys:
        mixed = _turned(right, 1, width) & _turned(right, 8, width) ^ _turned(right, 2, width)
        left, right = right, left ^ mixed ^ key
    return left << width | right


def _turned(word: int, by: int, width: int) -> int:
    """A word of so many bits, rotated to the left."""
    by %= width
    return (word << by | word >> width - by) & (1 << width) - 1
