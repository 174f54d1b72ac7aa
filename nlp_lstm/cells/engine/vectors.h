// Vectors of floats, and the functions that cells are made of. Needs no header of torch; GCC or Clang.
#include <cstdint>
#include <cstring>

#if defined(__AVX512F__)
constexpr int64_t LANES = 16;
#elif defined(__AVX__)
constexpr int64_t LANES = 8;
#else
constexpr int64_t LANES = 4;
#endif

typedef float Vector __attribute__((vector_size(LANES * 4)));
typedef int32_t Integers __attribute__((vector_size(LANES * 4)));  // also what a comparison gives: -1 where it holds
typedef uint16_t Halves __attribute__((vector_size(LANES * 2)));
typedef uint16_t bfloat16;
#define INLINE static inline __attribute__((always_inline))

INLINE Vector splat(float x) { return x - Vector{}; }
INLINE Integers bits(Vector x) { return reinterpret_cast<Integers>(x); }
INLINE Vector from_bits(Integers x) { return reinterpret_cast<Vector>(x); }
INLINE Vector choose(Integers condition, Vector yes, Vector no) { return condition ? yes : no; }
INLINE Vector choose(Integers condition, float yes, Vector no) { return condition ? splat(yes) : no; }
INLINE Vector absolute(Vector x) { return from_bits(bits(x) & 0x7fffffff); }
INLINE Vector sign(Vector x) { return choose(x > 0.0f, 1.0f, choose(x < 0.0f, -1.0f, Vector{})); }

// A NaN in either argument stays one.
INLINE Vector maximum(Vector x, Vector y) { return choose((x > y) | (x != x), x, y); }
INLINE Vector minimum(Vector x, Vector y) { return choose((x < y) | (x != x), x, y); }
INLINE Vector maximum(Vector x, float y) { return maximum(x, splat(y)); }
INLINE Vector minimum(Vector x, float y) { return minimum(x, splat(y)); }

INLINE Vector square_root(Vector x) {
  for (int64_t i = 0; i < LANES; ++i) x[i] = __builtin_sqrtf(x[i]);
  return x;
}

// Part of a vector: what stands behind `count` is 0, and is not written.
struct Full {
  static constexpr int64_t count = LANES;
  static constexpr bool whole = true;
};
struct Part {
  int64_t count;
  static constexpr bool whole = false;
};

template <typename Size>
INLINE Vector load(const float* from, Size size) {
  Vector x = {};
  if constexpr (Size::whole) std::memcpy(&x, from, sizeof x);
  else std::memcpy(&x, from, size.count * sizeof(float));
  return x;
}

template <typename Size>
INLINE Vector load(const bfloat16* from, Size size) {
  Halves x = {};
  if constexpr (Size::whole) std::memcpy(&x, from, sizeof x);
  else std::memcpy(&x, from, size.count * sizeof(bfloat16));
  return from_bits(__builtin_convertvector(x, Integers) << 16);
}

template <typename Size>
INLINE void store(float* to, Vector x, Size size) {
  if constexpr (Size::whole) std::memcpy(to, &x, sizeof x);
  else std::memcpy(to, &x, size.count * sizeof(float));
}

template <typename Size>
INLINE void store(bfloat16* to, Vector x, Size size) {  // rounds to the nearest, to the even one of two
  Integers whole = bits(x);
  Integers rounded = ((whole + 0x7fff + ((whole >> 16) & 1)) >> 16) & 0xffff;
  Halves half = __builtin_convertvector(x != x ? ((whole >> 16) & 0xffff) | 0x40 : rounded, Halves);
  if constexpr (Size::whole) std::memcpy(to, &half, sizeof half);
  else std::memcpy(to, &half, size.count * sizeof(bfloat16));
}

INLINE Vector load_one(const float* from) { return splat(*from); }
INLINE Vector load_one(const bfloat16* from) { return load(from, Part{1})[0] - Vector{}; }
template <typename Element>
INLINE void store_one(Element* to, Vector x) { store(to, x, Part{1}); }

template <typename Size>
INLINE Vector only(Vector x, Size size) {
  if constexpr (Size::whole) return x;
  for (int64_t i = size.count; i < LANES; ++i) x[i] = 0.0f;
  return x;
}

INLINE Vector sum_of_lanes(Vector x) {
  float sum = 0.0f;
  for (int64_t i = 0; i < LANES; ++i) sum += x[i];
  return splat(sum);
}

// x = n * ln 2 + r with |r| <= ln 2 / 2. Adding 1.5 * 2^23 leaves n in the lowest bits.
struct Reduced {
  Integers n;
  Vector r;
};
INLINE Reduced reduce(Vector x) {
  const float shift = 12582912.0f;
  Vector shifted = x * 1.44269504f + shift;
  Vector n = shifted - shift;
  return {bits(shifted) - 0x4b400000, (x - n * 0.693359375f) + n * 2.12194440e-4f};
}
INLINE Vector power_of_2(Integers n) { return from_bits((n + 127) << 23); }

// (exp(r) - 1 - r) / r^2 by its series; the first term left out is below 6e-9 of exp(r).
INLINE Vector series(Vector r) {
  Vector sum = splat(1.0f / 5040);
  sum = sum * r + 1.0f / 720;
  sum = sum * r + 1.0f / 120;
  sum = sum * r + 1.0f / 24;
  sum = sum * r + 1.0f / 6;
  return sum * r + 0.5f;
}

INLINE Vector exponential(Vector x) {
  x = choose(x > 100.0f, 100.0f, choose(x < -110.0f, -110.0f, x));
  Reduced reduced = reduce(x);
  Vector y = series(reduced.r) * reduced.r * reduced.r + reduced.r + 1.0f;
  Integers half = reduced.n >> 1;  // in two factors, so that neither is out of range
  return y * power_of_2(half) * power_of_2(reduced.n - half);
}

INLINE Vector exponential_of_moderate(Vector x) {  // |x| <= 87
  Reduced reduced = reduce(x);
  Vector y = series(reduced.r) * reduced.r * reduced.r + reduced.r + 1.0f;
  return y * power_of_2(reduced.n);
}

INLINE Vector exponential_minus_1_of_moderate(Vector x) {  // |x| <= 87
  Reduced reduced = reduce(x);
  Vector y = series(reduced.r) * reduced.r * reduced.r + reduced.r;
  Vector scale = power_of_2(reduced.n);
  return y * scale + (scale - 1.0f);
}

INLINE Vector exponential_minus_1(Vector x) {
  Vector near = exponential_minus_1_of_moderate(choose(absolute(x) > 60.0f, 0.0f, x));
  return choose(x > 60.0f, exponential(x), choose(x < -60.0f, -1.0f, near));
}

INLINE Vector sigmoid(Vector x) {
  Vector bounded = choose(x < -87.0f, -87.0f, choose(x > 87.0f, 87.0f, x));
  return 1.0f / (1.0f + exponential_of_moderate(-bounded));
}

INLINE Vector hyperbolic_tangent(Vector x) {
  Vector bounded = choose(x < -15.0f, -15.0f, choose(x > 15.0f, 15.0f, x));
  Vector y = exponential_minus_1_of_moderate(2.0f * bounded);
  return y / (y + 2.0f);
}

// log x = n * ln 2 + 2 artanh((m - 1) / (m + 1)) with m in sqrt(1/2) to sqrt(2), artanh by its series.
INLINE Vector logarithm(Vector x) {
  Integers small = x < 1.17549435e-38f;
  Vector scaled = choose(small, x * 8388608.0f, x);
  Integers n = (bits(scaled) - 0x3f3504f3) >> 23;
  Vector m = from_bits(bits(scaled) - (n << 23));
  Vector s = (m - 1.0f) / (m + 1.0f), z = s * s;
  Vector sum = ((((1.0f / 11) * z + 1.0f / 9) * z + 1.0f / 7) * z + 1.0f / 5) * z + 1.0f / 3;
  Vector exponent = __builtin_convertvector(n, Vector) - choose(small, 23.0f, Vector{});
  Vector y = exponent * 0.693359375f + (2.0f * s + (2.0f * s * z * sum - exponent * 2.12194440e-4f));
  y = choose(x == 0.0f, -__builtin_inff(), choose(x == __builtin_inff(), __builtin_inff(), y));
  return choose((x < 0.0f) | (x != x), __builtin_nanf(""), y);
}

INLINE Vector logarithm_of_1_plus(Vector x) {  // corrected for what the sum 1 + x loses
  Vector sum = 1.0f + x, seen = sum - 1.0f;
  Vector y = choose(seen == 0.0f, x, logarithm(sum) * (x / seen));
  return choose((x == __builtin_inff()) | (x == -1.0f), logarithm(sum), y);
}

INLINE Vector logarithm_of_sigmoid(Vector x) {
  Vector small = exponential(-absolute(x));  // at most 1
  Vector s = small / (small + 2.0f), z = s * s;
  Vector sum = (((1.0f / 13) * z + 1.0f / 11) * z + 1.0f / 9) * z + 1.0f / 7;
  sum = ((sum * z + 1.0f / 5) * z + 1.0f / 3) * z + 1.0f;
  return minimum(x, 0.0f) - 2.0f * s * sum;
}
