// Softmax, its loss and its gradient in one visit to each row of logits, which stays in the cache meanwhile.
#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <tuple>
#include <vector>

#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/cpu/vec/functional.h>
#include <c10/util/BFloat16.h>
#include <torch/library.h>

namespace rows {
namespace {

using Vector = at::vec::Vectorized<float>;
using ShortVector = at::vec::Vectorized<c10::BFloat16>;
constexpr int64_t kWidth = Vector::size();
constexpr int64_t kPair = 2 * kWidth;
constexpr int64_t kIgnored = -100;  // IGNORED of _cross_entropy.py

// Sixteen-bit numbers come in twos of vectors, so that both kinds of logits are read and written kPair at a time.
void read_pair(const float* from, Vector& low, Vector& high) {
  low = Vector::loadu(from);
  high = Vector::loadu(from + kWidth);
}

void read_pair(const c10::BFloat16* from, Vector& low, Vector& high) {
  std::tie(low, high) = at::vec::convert_bfloat16_float(ShortVector::loadu(from));
}

void write_pair(float* to, const Vector& low, const Vector& high) {
  low.store(to);
  high.store(to + kWidth);
}

void write_pair(c10::BFloat16* to, const Vector& low, const Vector& high) {
  at::vec::convert_float_bfloat16(low, high).store(to);
}

float sum_of(const Vector& vector) {
  return at::vec::vec_reduce_all<float>([](Vector a, Vector b) { return a + b; }, vector);
}

float largest_of(const Vector& vector) {
  return at::vec::vec_reduce_all<float>([](Vector a, Vector b) { return at::vec::maximum(a, b); }, vector);
}

// Write logits + bias to `values` and return the largest.
template <typename T>
float copy_with_bias(const T* logits, const float* bias, float* values, int64_t size) {
  Vector largest(-std::numeric_limits<float>::infinity());
  int64_t i = 0;
  for (; i + kPair <= size; i += kPair) {
    Vector low, high;
    read_pair(logits + i, low, high);
    if (bias != nullptr) {
      low = low + Vector::loadu(bias + i);
      high = high + Vector::loadu(bias + i + kWidth);
    }
    write_pair(values + i, low, high);
    largest = at::vec::maximum(largest, at::vec::maximum(low, high));
  }
  float result = largest_of(largest);
  for (; i < size; ++i) {
    values[i] = static_cast<float>(logits[i]) + (bias != nullptr ? bias[i] : 0.0f);
    result = values[i] > result || std::isnan(values[i]) ? values[i] : result;
  }
  return result;
}

// Replace every value by exp(value - largest) and return their sum. It is taken in blocks: one long sum of small
// numbers onto a large one would lose digits.
float exponentials(float* values, float largest, int64_t size) {
  constexpr int64_t kBlock = 64 * kWidth;
  double sum = 0.0;
  int64_t i = 0;
  while (i + kWidth <= size) {
    Vector block(0.0f);
    for (const int64_t end = i + kBlock; i + kWidth <= size && i < end; i += kWidth) {
      const Vector value = (Vector::loadu(values + i) - Vector(largest)).exp();
      value.store(values + i);
      block = block + value;
    }
    sum += sum_of(block);
  }
  for (; i < size; ++i) {
    values[i] = std::exp(values[i] - largest);
    sum += values[i];
  }
  return static_cast<float>(sum);
}

template <typename T>
void write_scaled(const float* values, float factor, T* errors, int64_t size) {
  int64_t i = 0;
  for (; i + kPair <= size; i += kPair) {
    write_pair(errors + i, Vector::loadu(values + i) * Vector(factor),
               Vector::loadu(values + i + kWidth) * Vector(factor));
  }
  for (; i < size; ++i) errors[i] = static_cast<T>(values[i] * factor);
}

template <typename T>
void run(const at::Tensor& logits, const float* bias, const int64_t* targets, T* errors, float* losses) {
  const int64_t rows = logits.size(0), size = logits.size(1);
  const T* data = logits.const_data_ptr<T>();
  at::parallel_for(0, rows, 1, [&](int64_t begin, int64_t end) {
    std::vector<float> values(size);
    for (int64_t row = begin; row < end; ++row) {
      T* row_errors = errors == nullptr ? nullptr : errors + row * size;
      const int64_t target = targets[row];
      if (target == kIgnored) {
        losses[row] = 0.0f;
        if (row_errors != nullptr) std::fill_n(row_errors, size, T(0));
        continue;
      }
      const float largest = copy_with_bias(data + row * size, bias, values.data(), size);
      const float wanted = values[target];
      const float sum = exponentials(values.data(), largest, size);
      losses[row] = std::log(sum) + (largest - wanted);
      if (row_errors == nullptr) continue;
      const float own = values[target];
      write_scaled(values.data(), 1.0f / sum, row_errors, size);
      row_errors[target] = static_cast<T>(own / sum - 1.0f);
    }
  });
}

// logits (rows, size) fp32 or bf16; bias (size) fp32; targets (rows) int64; all contiguous. Writes the nats of each row
// into losses (rows) fp32, and softmax minus one-hot into errors, which has the kind and the shape of logits and may be
// logits itself. Rows that are not scored become zero in both.
void cross_entropy(const at::Tensor& logits, const std::optional<at::Tensor>& bias, const at::Tensor& targets,
                   const std::optional<at::Tensor>& errors, const at::Tensor& losses) {
  const float* added = bias.has_value() ? bias->const_data_ptr<float>() : nullptr;
  const int64_t* wanted = targets.const_data_ptr<int64_t>();
  float* result = losses.mutable_data_ptr<float>();
  for (int64_t row = 0; row < logits.size(0); ++row) {
    TORCH_CHECK_INDEX(wanted[row] == kIgnored || (0 <= wanted[row] && wanted[row] < logits.size(1)), "Target ",
                      wanted[row], " is out of bounds: there are ", logits.size(1), " columns.");
  }
  if (logits.scalar_type() == at::kBFloat16) {
    run<c10::BFloat16>(logits, added, wanted, errors ? errors->mutable_data_ptr<c10::BFloat16>() : nullptr, result);
  } else {
    run<float>(logits, added, wanted, errors ? errors->mutable_data_ptr<float>() : nullptr, result);
  }
}

}  // namespace
}  // namespace rows

OPERATORS(m) {
  m.def("cross_entropy(Tensor logits, Tensor? bias, Tensor targets, Tensor(a!)? errors, Tensor(b!) losses) -> ()",
        &rows::cross_entropy);
}
