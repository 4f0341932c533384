"""Kernels over single ions: decode, range, sort by brick and cell. The gate is ``aptstream/io/decode.py``.

No kernel checks its input, allocates, or raises: the gate has seen to shapes, lengths and limits.
"""

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t
from libc.string cimport memcpy


cdef inline uint32_t big_endian(const uint8_t* byte) noexcept nogil:
    """Read four bytes as the file holds them; compilers turn this into one load and one swap."""
    return (<uint32_t>byte[0] << 24) | (<uint32_t>byte[1] << 16) | (<uint32_t>byte[2] << 8) | byte[3]


cdef inline float as_float(uint32_t bits) noexcept nogil:
    cdef float value
    memcpy(&value, &bits, 4)
    return value


cdef void decode_records(const uint8_t* record, Py_ssize_t n, float* position, float* mass_to_charge) noexcept nogil:
    cdef Py_ssize_t i
    cdef int axis
    for i in range(n):
        for axis in range(3):
            position[3 * i + axis] = as_float(big_endian(record + 16 * i + 4 * axis))
        mass_to_charge[i] = as_float(big_endian(record + 16 * i + 12))


cdef int64_t check_records(
    const float* position, const float* mass_to_charge, Py_ssize_t n, uint32_t limit_bits, float* low, float* high,
) noexcept nogil:
    """Without sign, the bits of floats sort like the floats, with inf and NaN on top: one integer test
    finds everything that is too large or not finite."""
    cdef Py_ssize_t i
    cdef int axis
    cdef uint32_t bits
    cdef bint bad
    cdef float value
    cdef int64_t first_bad = -1
    for i in range(n):
        bad = False
        for axis in range(4):
            value = position[3 * i + axis] if axis < 3 else mass_to_charge[i]
            memcpy(&bits, &value, 4)
            bad |= (bits & <uint32_t>0x7FFFFFFF) > limit_bits
            low[axis] = value if value < low[axis] else low[axis]
            high[axis] = value if value > high[axis] else high[axis]
        if bad and first_bad < 0:
            first_bad = i
    return first_bad


cdef void find_ranges(
    const float* mass_to_charge, Py_ssize_t n, const double* low, const double* high, Py_ssize_t n_ranges,
    const uint8_t* species_of_range, uint8_t* species,
) noexcept nogil:
    """Halve without branching: mass spectra are noise to a branch predictor."""
    cdef Py_ssize_t i, length, half
    cdef const double* base
    cdef double value
    for i in range(n):
        value = mass_to_charge[i]
        base = low
        length = n_ranges
        while length > 1:
            half = length >> 1
            base += half * (base[half] <= value)
            length -= half
        half = base - low
        species[i] = species_of_range[half] if (low[half] <= value) & (value < high[half]) else 0


cdef Py_ssize_t brick_keys(
    const float* position, const float* mass_to_charge, Py_ssize_t n, uint32_t limit_bits, const double* origin,
    const int64_t* bricks, uint32_t nowhere, uint32_t* key, uint32_t* count,
) noexcept nogil:
    """An ion outside the lattice, or with a number that is too large or not finite, belongs nowhere. NaN fails every
    comparison; what passes is not negative, hence truncation is the floor."""
    cdef Py_ssize_t i, kept = 0
    cdef int axis
    cdef uint32_t bits, k
    cdef double offset
    cdef bint good
    for i in range(n):
        memcpy(&bits, mass_to_charge + i, 4)
        good = (bits & <uint32_t>0x7FFFFFFF) <= limit_bits
        k = 0
        for axis in range(3):
            offset = <double>position[3 * i + axis] - origin[axis]
            if offset >= 0 and offset < 16 * <double>bricks[axis]:
                k = k * <uint32_t>bricks[axis] + (<uint32_t>offset >> 4)
            else:
                good = False
        if good:
            key[i] = k
            count[k] += 1
            kept += 1
        else:
            key[i] = nowhere
    return kept


cdef void scatter_rows(
    const uint32_t* key, uint32_t nowhere, Py_ssize_t n, uint32_t* cursor, const uint32_t* position,
    const uint32_t* mass_to_charge, const uint32_t* further, Py_ssize_t n_further, uint32_t* row,
) noexcept nogil:
    """Walk the source in its order, so that the sort is stable; numbers move as words, so that every bit stays."""
    cdef Py_ssize_t i, column
    cdef uint32_t* to
    for i in range(n):
        if key[i] == nowhere:
            continue
        to = row + <Py_ssize_t>cursor[key[i]] * (4 + n_further)
        cursor[key[i]] += 1
        memcpy(to, position + 3 * i, 12)
        to[3] = mass_to_charge[i]
        for column in range(n_further):
            to[4 + column] = further[column * n + i]


cdef Py_ssize_t cell_keys(
    const uint32_t* row, Py_ssize_t n, Py_ssize_t width, const double* origin, const double* low, uint16_t* key,
    uint32_t* count,
) noexcept nogil:
    """Return the first ion that does not lie in the brick, or -1; keys behind it are not written. The origin of the
    lattice is subtracted first, as in `brick_keys`: with another rounding an ion could lie in the next brick."""
    cdef Py_ssize_t i
    cdef int axis
    cdef uint32_t k
    cdef double offset
    for i in range(n):
        k = 0
        for axis in range(3):
            offset = <double>as_float(row[i * width + axis]) - origin[axis] - low[axis]
            if not (offset >= 0 and offset < 16):
                return i
            k = (k << 4) | <uint32_t>offset
        key[i] = <uint16_t>k
        count[k] += 1
    return -1


cdef void scatter_cells(
    const uint32_t* row, Py_ssize_t n, Py_ssize_t width, const uint16_t* key, uint32_t* cursor,
    uint32_t* position, uint32_t* mass_to_charge, uint32_t* further,
) noexcept nogil:
    """Stable like `scatter_rows`."""
    cdef Py_ssize_t i, j, column
    cdef Py_ssize_t n_further = width - 4
    for i in range(n):
        j = cursor[key[i]]
        cursor[key[i]] += 1
        memcpy(position + 3 * j, row + i * width, 12)
        mass_to_charge[j] = row[i * width + 3]
        for column in range(n_further):
            further[j * n_further + column] = row[i * width + 4 + column]


def decode(const uint8_t[::1] record, float[:, ::1] position, float[::1] mass_to_charge):
    """Decode 16-byte records."""
    with nogil:
        decode_records(&record[0], mass_to_charge.shape[0], &position[0, 0], &mass_to_charge[0])


def check(
    const float[:, ::1] position, const float[::1] mass_to_charge, uint32_t limit_bits, float[::1] low, float[::1] high,
):
    """Widen `low` and `high` (x, y, z, m/q); return the first bad ion or -1."""
    cdef int64_t first_bad
    with nogil:
        first_bad = check_records(
            &position[0, 0], &mass_to_charge[0], mass_to_charge.shape[0], limit_bits, &low[0], &high[0],
        )
    return first_bad


def find(
    const float[::1] mass_to_charge, const double[::1] low, const double[::1] high,
    const uint8_t[::1] species_of_range, uint8_t[::1] species,
):
    """Write the species of the range that holds each m/q, or 0."""
    with nogil:
        find_ranges(
            &mass_to_charge[0], mass_to_charge.shape[0], &low[0], &high[0], low.shape[0],
            &species_of_range[0], &species[0],
        )


def bricks(
    const float[:, ::1] position, const float[::1] mass_to_charge, uint32_t limit_bits, const double[::1] origin,
    const int64_t[::1] bricks, uint32_t nowhere, uint32_t[::1] key, uint32_t[::1] count,
):
    """Write the brick of every ion, or `nowhere`, and add one to its count; return how many lie in a brick."""
    cdef Py_ssize_t kept
    with nogil:
        kept = brick_keys(
            &position[0, 0], &mass_to_charge[0], mass_to_charge.shape[0], limit_bits, &origin[0], &bricks[0],
            nowhere, &key[0], &count[0],
        )
    return kept


def scatter(
    const uint32_t[::1] key, uint32_t nowhere, uint32_t[::1] cursor, const uint32_t[:, ::1] position,
    const uint32_t[::1] mass_to_charge, const uint32_t[:, ::1] further, uint32_t[:, ::1] row,
):
    """Move every ion to the row that the cursor of its brick points at, and advance the cursor."""
    cdef const uint32_t* more = &further[0, 0] if further.shape[0] else NULL
    with nogil:
        scatter_rows(
            &key[0], nowhere, key.shape[0], &cursor[0], &position[0, 0], &mass_to_charge[0], more,
            further.shape[0], &row[0, 0],
        )


def cells(
    const uint32_t[:, ::1] row, const double[::1] origin, const double[::1] low, uint16_t[::1] key, uint32_t[::1] count,
):
    """Write the cell of every ion of a brick and add one to its count; return the first ion outside, or -1."""
    cdef Py_ssize_t first
    with nogil:
        first = cell_keys(&row[0, 0], row.shape[0], row.shape[1], &origin[0], &low[0], &key[0], &count[0])
    return first


def arrange(
    const uint32_t[:, ::1] row, const uint16_t[::1] key, uint32_t[::1] cursor,
    uint32_t[:, ::1] position, uint32_t[::1] mass_to_charge, uint32_t[:, ::1] further,
):
    """Move every ion of a brick to the place that the cursor of its cell points at, and advance the cursor."""
    cdef uint32_t* more = &further[0, 0] if further.shape[1] else NULL
    with nogil:
        scatter_cells(
            &row[0, 0], row.shape[0], row.shape[1], &key[0], &cursor[0], &position[0, 0], &mass_to_charge[0], more,
        )


cdef void decode_wide_records(
    const uint8_t* record, Py_ssize_t n, float* position, float* mass_to_charge, uint32_t* others,
) noexcept nogil:
    """The seven columns behind x, y, z, m/q keep their bits, whether floats or counts."""
    cdef Py_ssize_t i
    cdef int column
    for i in range(n):
        for column in range(3):
            position[3 * i + column] = as_float(big_endian(record + 44 * i + 4 * column))
        mass_to_charge[i] = as_float(big_endian(record + 44 * i + 12))
        for column in range(7):
            others[column * n + i] = big_endian(record + 44 * i + 16 + 4 * column)


def decode_wide(
    const uint8_t[::1] record, float[:, ::1] position, float[::1] mass_to_charge, uint32_t[:, ::1] others,
):
    """Decode 44-byte records; `others` is (7, n)."""
    with nogil:
        decode_wide_records(
            &record[0], mass_to_charge.shape[0], &position[0, 0], &mass_to_charge[0], &others[0, 0],
        )
