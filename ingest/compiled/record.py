"""Records in their plain form, read in machine code: one pass over the bytes of a batch, straight into columns.

Plain is what nearly every record is: ASCII, no escapes, each key once, values of the contract's types. Whatever is
not plain, or not JSON at all, is left for another reader; nothing is decided here but that.
"""

import numpy as np

from ingest.compiled.ascii import (
    BRACE,
    BRACE_END,
    BRACKET,
    BRACKET_END,
    COMMA,
    MINUS,
    N_SMALL,
    NINE,
    QUOTE,
    ZERO,
)
from ingest.compiled.compiling import entry, helper, part
from ingest.compiled.form import (
    ATTRIBUTES,
    ENGINE_ON,
    EVENT_ID,
    FAULT_CODES,
    FIRST_READING,
    HASH_SIZE,
    MOST_NAMES,
    SIGNALS,
    TS,
    Columns,
    Fields,
)
from ingest.compiled.times import read_time
from ingest.compiled.tokens import (
    Texts,
    listed,
    put,
    read_integer,
    read_name,
    read_number,
    read_text,
    read_word,
    same,
    skip_blank,
)


@helper
def _field(letters: np.ndarray, start: int, end: int, fields: Fields) -> int:
    """The field of that name, or -1."""
    length = end - start
    if length == 0:
        return -1
    code = letters[start] * fields.factors[0] + letters[end - 1] * fields.factors[1] + length * fields.factors[2]
    field: int = fields.by_hash[code % HASH_SIZE]
    if field < 0:
        return -1
    first = fields.ends[field - 1] if field else 0
    if fields.ends[field] - first != length or not same(letters, start, fields.letters, first, length):
        return -1
    return field


@helper
def _copied(letters: np.ndarray, at: int, texts: Texts, number: int) -> int:
    """Take a text as text `number`; where it ends, or -1."""
    end = read_text(letters, at)
    if end < 0:
        return -1
    put(texts, number, letters, at + 1, end)
    return end + 1


@helper
def _list(letters: np.ndarray, at: int, texts: Texts, number: int) -> tuple[int, int]:
    """A list of texts: (texts there are now, end); an end of -1: not plain."""
    if letters[at] != BRACKET:
        return number, -1
    at = skip_blank(letters, at + 1)
    if letters[at] == BRACKET_END:
        return number, at + 1
    while True:
        end = read_text(letters, at)
        if end < 0:
            return number, -1
        put(texts, number, letters, at + 1, end)
        number += 1
        at = skip_blank(letters, end + 1)
        if letters[at] == BRACKET_END:
            return number, at + 1
        if letters[at] != COMMA:
            return number, -1
        at = skip_blank(letters, at + 1)


@helper
def _map(
    letters: np.ndarray,
    at: int,
    names: Texts,
    numbers: np.ndarray,
    texts: Texts,
    number: int,
    powers: np.ndarray,
) -> tuple[int, int]:
    """A map to numbers, or to texts where `numbers` has no room: (entries there are now, end). null is no entry."""
    if letters[at] != BRACE:
        return number, -1
    first = number
    at = skip_blank(letters, at + 1)
    if letters[at] == BRACE_END:
        return number, at + 1
    while True:
        end, value = read_name(letters, at)
        if end < 0 or number - first == MOST_NAMES or listed(names, first, number, letters, at + 1, end):
            return number, -1
        if letters[value] == N_SMALL:
            end = read_word(letters, value)[1]
        else:
            put(names, number, letters, at + 1, end)
            if len(numbers):
                numbers[number], end = read_number(letters, value, powers)
            else:
                end = _copied(letters, value, texts, number)
            number += 1
        if end < 0:
            return number, -1
        at = skip_blank(letters, end)
        if letters[at] == BRACE_END:
            return number, at + 1
        if letters[at] != COMMA:
            return number, -1
        at = skip_blank(letters, at + 1)


@helper
def _identifier(letters: np.ndarray, at: int, texts: Texts, row: int, longest: int, allowed: np.ndarray) -> int:
    """Take a text of allowed letters; where it ends, or -1."""
    end = read_text(letters, at)
    if end < 0 or end - at - 1 > longest:
        return -1
    for place in range(at + 1, end):
        if not allowed[letters[place]]:
            return -1
    put(texts, row, letters, at + 1, end)
    return end + 1


@part
def _known(letters: np.ndarray, at: int, kind: int, row: int, fields: Fields, columns: Columns) -> int:
    """Read the value of a field of the contract; where it ends, or -1."""
    counts = columns.counts
    if letters[at] == N_SMALL:
        return read_word(letters, at)[1] if kind > TS else -1
    if kind >= FIRST_READING:
        columns.readings[kind - FIRST_READING, row], end = read_number(letters, at, fields.powers)
        return end
    if kind == ENGINE_ON:
        columns.engine_on[row], end = read_word(letters, at)
        return end
    if kind == TS:
        columns.ts_ms[row], end = read_time(letters, at + 1) if letters[at] == QUOTE else read_integer(letters, at)
        return end
    if kind == FAULT_CODES:
        counts[0], end = _list(letters, at, columns.fault_codes, counts[0])
    elif kind == SIGNALS:
        names, numbers = columns.signal_names, columns.signal_values
        counts[1], end = _map(letters, at, names, numbers, names, counts[1], fields.powers)
    elif kind == ATTRIBUTES:
        names, texts = columns.attribute_names, columns.attribute_values
        counts[2], end = _map(letters, at, names, columns.signal_values[:0], texts, counts[2], fields.powers)
    elif kind == EVENT_ID:
        end = _identifier(letters, at, columns.event_ids, row, fields.longest_event_id, fields.any)
    else:
        end = _identifier(letters, at, columns.device_ids, row, fields.longest_device_id, fields.allowed)
        return end if columns.device_ids.ends[row + 1] > columns.device_ids.ends[row] else -1
    columns.present[kind - EVENT_ID, row] = 1
    return end


@part
def _unknown(
    letters: np.ndarray, name: int, name_end: int, at: int, before: int, fields: Fields, columns: Columns
) -> int:
    """Take a name that the contract does not know, once a record, if its value is plain; where that ends, or -1."""
    number = columns.counts[3]
    if number - before == MOST_NAMES or listed(columns.unknown, before, number, letters, name, name_end):
        return -1
    if letters[at] == QUOTE:
        end = read_text(letters, at) + 1
    elif letters[at] == MINUS or ZERO <= letters[at] <= NINE:
        end = read_number(letters, at, fields.powers)[1]
    else:
        end = read_word(letters, at)[1]
    put(columns.unknown, number, letters, name, name_end)
    columns.counts[3] = number + 1
    return end if end > 0 else -1


@part
def _record(letters: np.ndarray, at: int, row: int, fields: Fields, columns: Columns) -> int:
    """Read one record into a row; where it ends, or -1."""
    before = columns.counts[3]
    seen = 0
    at = skip_blank(letters, at)
    if letters[at] != BRACE:
        return -1
    while True:
        at = skip_blank(letters, at + 1)
        name = at + 1
        name_end, at = read_name(letters, at)
        if name_end < 0:
            return -1
        field = _field(letters, name, name_end, fields)
        if field < 0:
            at = _unknown(letters, name, name_end, at, before, fields, columns)
        elif seen >> field & 1:
            return -1
        else:
            seen |= 1 << field
            at = _known(letters, at, fields.kinds[field], row, fields, columns)
        if at < 0:
            return -1
        at = skip_blank(letters, at)
        if letters[at] == BRACE_END:
            return skip_blank(letters, at + 1) if seen & fields.required == fields.required else -1
        if letters[at] != COMMA:
            return -1


@entry
def read(letters: np.ndarray, starts: np.ndarray, ends: np.ndarray, fields: Fields, columns: Columns) -> None:
    """Read record after record, bytes [starts[i], ends[i]) of letters."""
    counts = columns.counts
    for row in range(len(starts)):
        codes, signals, attributes, unknown = counts[0], counts[1], counts[2], counts[3]
        columns.device_ids.ends[row + 1] = columns.device_ids.ends[row]
        columns.event_ids.ends[row + 1] = columns.event_ids.ends[row]
        short = ends[row] - starts[row] <= fields.longest_record
        if short and _record(letters, starts[row], row, fields, columns) == ends[row]:
            columns.plain[row] = 1
        else:
            counts[0], counts[1], counts[2], counts[3] = codes, signals, attributes, unknown
            columns.present[:, row] = 0
            columns.device_ids.ends[row + 1] = columns.device_ids.ends[row]
            columns.event_ids.ends[row + 1] = columns.event_ids.ends[row]
        for column in range(3):
            columns.entries[column, row + 1] = counts[column]
