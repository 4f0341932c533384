"""Kernels over single ions: decode, range, sort by brick and cell. The gate is ``aptstream/io/decode.py``.

No kernel checks its input, allocates, or raises: the gate has seen to shapes, lengths and limits.
"""

from libc.stdint cimport int64_t, uint8_t, uint32_t
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


cdef void count_keys(
    const float* position, Py_ssize_t n, const double* origin, uint32_t bricks_y, uint32_t bricks_z,
    uint32_t* key, uint32_t* count,
) noexcept nogil:
    """The difference is never negative, hence truncation is the floor."""
    cdef Py_ssize_t i
    cdef uint32_t x, y, z, k
    for i in range(n):
        x = <uint32_t>(<double>position[3 * i] - origin[0])
        y = <uint32_t>(<double>position[3 * i + 1] - origin[1])
        z = <uint32_t>(<double>position[3 * i + 2] - origin[2])
        k = ((x >> 4) * bricks_y + (y >> 4)) * bricks_z + (z >> 4)
        k = (k << 12) | ((x & 15) << 8) | ((y & 15) << 4) | (z & 15)
        key[i] = k
        count[k] += 1


cdef void scatter_ions(
    const uint32_t* key, int shift, Py_ssize_t n, uint32_t* cursor,
    const float* position, const float* mass_to_charge, const uint8_t* species,
    uint32_t* to_key, float* to_position, float* to_mass_to_charge, uint8_t* to_species,
) noexcept nogil:
    """Walk the source in its order, so that the sort is stable."""
    cdef Py_ssize_t i, j
    for i in range(n):
        j = cursor[key[i] >> shift]
        cursor[key[i] >> shift] += 1
        to_key[j] = key[i]
        to_position[3 * j] = position[3 * i]
        to_position[3 * j + 1] = position[3 * i + 1]
        to_position[3 * j + 2] = position[3 * i + 2]
        to_mass_to_charge[j] = mass_to_charge[i]
        to_species[j] = species[i]


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


def count(
    const float[:, ::1] position, const double[::1] origin, uint32_t bricks_y, uint32_t bricks_z,
    uint32_t[::1] key, uint32_t[::1] count,
):
    """Write the key of every ion, ``brick << 12 | cell``, and add one to the count of its key."""
    with nogil:
        count_keys(
            &position[0, 0], position.shape[0], &origin[0], bricks_y, bricks_z, &key[0], &count[0]
        )


def scatter(
    const uint32_t[::1] key, int shift, uint32_t[::1] cursor,
    const float[:, ::1] position, const float[::1] mass_to_charge, const uint8_t[::1] species,
    uint32_t[::1] to_key, float[:, ::1] to_position, float[::1] to_mass_to_charge, uint8_t[::1] to_species,
):
    """Move every ion to the row that the cursor of ``key >> shift`` points at, and advance the cursor."""
    with nogil:
        scatter_ions(
            &key[0], shift, key.shape[0], &cursor[0], &position[0, 0], &mass_to_charge[0], &species[0],
            &to_key[0], &to_position[0, 0], &to_mass_to_charge[0], &to_species[0],
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
