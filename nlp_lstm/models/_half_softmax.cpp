// Cross entropy of a projection to a large vocabulary with all its gradients, products in bf16, sums in fp32.
//
//   logits = hidden weight^T + bias                 block of tokens by tile of columns, while the tile is in the cache
//   grad_hidden = scale errors weight               errors = softmax - one-hot, the same block of tokens
//   grad_weight = scale errors^T hidden             at the end, tile of columns by tile of columns
//
// The small products are those of oneDNN, which want the factor on the right packed: two rows of it interleaved.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <limits>
#include <optional>
#include <tuple>
#include <vector>

#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/cpu/vec/functional.h>
#include <ATen/native/CPUBlas.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>
#include <c10/util/BFloat16.h>
#include <torch/library.h>

namespace half {
namespace {

using Half = c10::BFloat16;
using Vector = at::vec::Vectorized<float>;
constexpr int64_t kTile = 64;          // columns of the vocabulary
constexpr int64_t kDepth = 256;        // columns of a product over the vocabulary, a multiple of kTile
constexpr int64_t kMostRows = 128;     // tokens of a block
constexpr int64_t kMostErrors = 32'000'000;
constexpr int64_t kIgnored = -100;     // IGNORED of _softmax.py

int64_t up(int64_t number, int64_t multiple) { return (number + multiple - 1) / multiple * multiple; }

uint32_t bits_of(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  return bits;
}

// Round to bf16, the nearest or the even one, leaving its bits in the upper half of the word.
uint32_t rounded(float value) {
  const uint32_t bits = bits_of(value);
  return (bits + 0x7fffu + ((bits >> 16) & 1u)) & 0xffff0000u;
}

float widened(uint16_t half) {
  const uint32_t bits = static_cast<uint32_t>(half) << 16;
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

// Memory that stays from call to call: to a process, fresh memory of this size costs as much as a product over it.
template <typename T>
T* kept(int64_t place, int64_t count) {
  static thread_local std::array<at::Tensor, 8> places;
  const int64_t bytes = count * static_cast<int64_t>(sizeof(T));
  if (!places[place].defined() || places[place].numel() < bytes) {
    places[place] = at::Tensor();
    places[place] = at::empty({bytes}, at::kByte);
  }
  return reinterpret_cast<T*>(places[place].mutable_data_ptr<uint8_t>());
}

// Write rows (count, size) of fp32 to pairs (up(count, 2) / 2, size, 2) in bf16, with zeros behind an odd count.
void pack_pairs(const float* rows, int64_t count, int64_t size, uint32_t* pairs) {
  for (int64_t row = 0; row < count; row += 2) {
    const float *first = rows + row * size, *second = row + 1 < count ? first + size : nullptr;
    uint32_t* to = pairs + row / 2 * size;
    for (int64_t i = 0; i < size; ++i) to[i] = rounded(first[i]) >> 16 | (second ? rounded(second[i]) : 0u);
  }
}

// Write the transpose of rows (count, size) of fp32, count at most kTile, to pairs (depth / 2, kTile, 2) in bf16.
void pack_transposed(const float* rows, int64_t count, int64_t size, int64_t depth, uint32_t* pairs) {
  std::fill_n(pairs, depth / 2 * kTile, 0u);
  for (int64_t row = 0; row < count; ++row) {
    const float* from = rows + row * size;
    for (int64_t i = 0; i + 1 < size; i += 2) {
      pairs[i / 2 * kTile + row] = rounded(from[i]) >> 16 | rounded(from[i + 1]);
    }
    if (size % 2) pairs[size / 2 * kTile + row] = rounded(from[size - 1]) >> 16;
  }
}

struct Problem {
  int64_t size, depth, columns, tiles, width;  // of hidden, made even; of the vocabulary, in tiles, made whole tiles
  const float *hidden, *weight;
  const float* bias;  // (width), minus infinity behind the vocabulary
  const int64_t* targets;
  float scale;
  const Half *by_tile, *by_row;  // the weight as right factor of the first and of the second product
};

// What one thread holds of one block of tokens.
struct Block {
  std::vector<Half> hidden;
  std::vector<float> logits, largest, sums, wanted, tile_largest, gradient;
  std::vector<uint16_t> numbers;  // exponentials, then errors, (rows, width) in bf16

  Block(const Problem& p, int64_t rows)
      : hidden(rows * p.depth), logits(rows * kTile), largest(rows), sums(rows), wanted(rows),
        tile_largest(rows * p.tiles), gradient(rows * p.size) {}
};

// Exponentials of one tile of logits, relative to the largest logit of the row so far.
void take_tile(const Problem& p, Block& block, uint16_t* numbers, int64_t first, int64_t rows, int64_t tile) {
  constexpr int64_t kWidth = Vector::size();
  for (int64_t row = 0; row < rows; ++row) {
    float* logits = block.logits.data() + row * kTile;
    Vector largest(-std::numeric_limits<float>::infinity());
    for (int64_t i = 0; i < kTile; i += kWidth) {
      const Vector value = Vector::loadu(logits + i) + Vector::loadu(p.bias + tile * kTile + i);
      value.store(logits + i);
      largest = at::vec::maximum(largest, value);
    }
    const float found = at::vec::vec_reduce_all<float>([](Vector a, Vector b) { return at::vec::maximum(a, b); }, largest);
    float& so_far = block.largest[row];
    if (!(found <= so_far)) {
      block.sums[row] *= tile == 0 ? 0.0f : std::exp(so_far - found);
      so_far = found;
    }
    const int64_t place = p.targets[first + row] - tile * kTile;
    if (0 <= place && place < kTile) block.wanted[row] = logits[place];
    block.tile_largest[row * p.tiles + tile] = so_far;
    Vector sum(0.0f);
    Half* to = reinterpret_cast<Half*>(numbers + row * p.width + tile * kTile);
    for (int64_t i = 0; i < kTile; i += 2 * kWidth) {
      const Vector low = (Vector::loadu(logits + i) - Vector(so_far)).exp_u20();
      const Vector high = (Vector::loadu(logits + i + kWidth) - Vector(so_far)).exp_u20();
      sum = sum + (low + high);
      at::vec::convert_float_bfloat16(low, high).store(to + i);
    }
    block.sums[row] += at::vec::vec_reduce_all<float>([](Vector a, Vector b) { return a + b; }, sum);
  }
}

// Turn the exponentials of two rows into errors, in place and interleaved into `pairs`, of the stride `step` from tile
// to tile; the second row may be missing.
void take_errors(const Problem& p, Block& block, uint16_t* numbers, int64_t row, bool two, int64_t first, uint32_t* pairs,
                 int64_t step) {
  const int64_t count = two ? 2 : 1;
  uint16_t* rows[2] = {numbers + row * p.width, numbers + (row + count - 1) * p.width};
  float* factors[2] = {block.tile_largest.data() + row * p.tiles, block.tile_largest.data() + (row + count - 1) * p.tiles};
  for (int64_t i = 0; i < count; ++i) {
    const bool scored = p.targets[first + row + i] != kIgnored;
    if (!scored) std::fill_n(rows[i], p.width, uint16_t{0});
    const Vector largest(block.largest[row + i]), share(scored ? 1.0f / block.sums[row + i] : 0.0f);
    at::vec::map<float>([&](Vector x) { return (x - largest).exp() * share; }, factors[i], factors[i], p.tiles);
  }
  for (int64_t tile = 0; tile < p.tiles; ++tile) {
    const float a = factors[0][tile], b = two ? factors[1][tile] : 0.0f;
    uint16_t *left = rows[0] + tile * kTile, *right = rows[1] + tile * kTile;
    uint32_t* to = pairs + tile * step;
    for (int64_t i = 0; i < kTile; ++i) {
      const uint32_t low = rounded(widened(left[i]) * a) >> 16, high = two ? rounded(widened(right[i]) * b) : 0u;
      left[i] = static_cast<uint16_t>(low);
      if (two) right[i] = static_cast<uint16_t>(high >> 16);
      to[i] = low | high;
    }
  }
  for (int64_t i = 0; i < count; ++i) {
    const int64_t target = p.targets[first + row + i];
    if (target == kIgnored) continue;
    const float error = std::exp(block.wanted[row + i] - block.largest[row + i]) / block.sums[row + i] - 1.0f;
    const auto half = static_cast<uint16_t>(rounded(error) >> 16);
    rows[i][target] = half;
    reinterpret_cast<uint16_t*>(pairs + target / kTile * step)[2 * (target % kTile) + i] = half;
  }
}

// Losses and gradients of the tokens from `first` on, and their errors, interleaved, into `pairs`.
void run_block(const Problem& p, Block& block, uint16_t* numbers, int64_t first, int64_t rows, float* losses,
               float* grad_hidden, uint32_t* pairs, int64_t step) {
  using at::native::cpublas::brgemm;
  for (int64_t row = 0; row < rows; ++row) {
    const float* from = p.hidden + (first + row) * p.size;
    Half* to = block.hidden.data() + row * p.depth;
    std::copy_n(from, p.size, to);
    std::fill(to + p.size, to + p.depth, Half(0.0f));
  }
  std::fill(block.largest.begin(), block.largest.end(), -std::numeric_limits<float>::infinity());
  std::fill(block.sums.begin(), block.sums.end(), 0.0f);
  for (int64_t tile = 0; tile < p.tiles; ++tile) {
    brgemm(rows, kTile, p.depth, p.depth, kTile, kTile, false, block.hidden.data(),
           p.by_tile + tile * p.depth * kTile, block.logits.data(), true);
    take_tile(p, block, numbers, first, rows, tile);
  }
  for (int64_t row = 0; row < rows; ++row) {
    const bool scored = p.targets[first + row] != kIgnored;
    losses[first + row] = scored ? std::log(block.sums[row]) + (block.largest[row] - block.wanted[row]) : 0.0f;
  }
  for (int64_t row = 0; row < rows; row += 2) {
    take_errors(p, block, numbers, row, row + 1 < rows, first, pairs + row / 2 * kTile, step);
  }
  for (int64_t start = 0; start < p.width; start += kDepth) {
    const int64_t depth = std::min(kDepth, p.width - start);
    brgemm(rows, p.size, depth, p.width, p.size, p.size, start > 0, reinterpret_cast<Half*>(numbers) + start,
           p.by_row + start * p.size, block.gradient.data(), true);
  }
  for (int64_t i = 0; i < rows * p.size; ++i) grad_hidden[first * p.size + i] = p.scale * block.gradient[i];
}

// Add the gradients of one tile's weights and biases: `left` is hidden^T over a row of ones, (size + 1, tokens).
void run_tile(const Problem& p, const Half* left, const uint32_t* pairs, int64_t tokens, int64_t tile, float* result,
              float* grad_weight, float* grad_bias, bool add) {
  at::native::cpublas::brgemm(p.size + 1, kTile, tokens, tokens, kTile, kTile, false, left,
                              reinterpret_cast<const Half*>(pairs), result, true);
  const int64_t count = std::min(kTile, p.columns - tile * kTile);
  constexpr int64_t kSquare = 16;
  for (int64_t start = 0; start < p.size; start += kSquare) {
    const int64_t end = std::min(p.size, start + kSquare);
    for (int64_t column = 0; column < count; ++column) {
      float* to = grad_weight + (tile * kTile + column) * p.size;
      for (int64_t i = start; i < end; ++i) to[i] = (add ? to[i] : 0.0f) + p.scale * result[i * kTile + column];
    }
  }
  for (int64_t column = 0; column < count; ++column) {
    float& to = grad_bias[tile * kTile + column];
    to = (add ? to : 0.0f) + p.scale * result[p.size * kTile + column];
  }
}

void pack_weight(Problem& p) {
  Half* by_tile = kept<Half>(0, p.tiles * p.depth * kTile);
  Half* by_row = kept<Half>(1, p.width * p.size);
  at::parallel_for(0, p.tiles, 1, [&](int64_t begin, int64_t end) {
    for (int64_t tile = begin; tile < end; ++tile) {
      const int64_t first = tile * kTile, count = std::min(kTile, p.columns - first);
      const float* rows = p.weight + first * p.size;
      pack_transposed(rows, count, p.size, p.depth, reinterpret_cast<uint32_t*>(by_tile + first * p.depth));
      uint32_t* pairs = reinterpret_cast<uint32_t*>(by_row + first * p.size);
      pack_pairs(rows, count, p.size, pairs);
      std::fill(pairs + up(count, 2) / 2 * p.size, pairs + kTile / 2 * p.size, 0u);
    }
  });
  p.by_tile = by_tile;
  p.by_row = by_row;
}

// Tokens from `first` on, `tokens` of them.
void run_group(const Problem& p, int64_t first, int64_t tokens, float* losses, float* grad_hidden, float* grad_weight,
               float* grad_bias, bool add) {
  const int64_t threads = at::get_num_threads();
  const int64_t blocks = std::max<int64_t>(1, up((tokens + kMostRows - 1) / kMostRows, threads));
  const int64_t rows = std::min(kMostRows, up((tokens + blocks - 1) / blocks, 2));
  const int64_t even = up(tokens, 2), step = even / 2 * kTile;
  uint32_t* pairs = kept<uint32_t>(2, p.tiles * step);
  uint16_t* numbers = kept<uint16_t>(3, threads * rows * p.width);
  Half* left = kept<Half>(4, (p.size + 1) * even);
  at::parallel_for(0, (tokens + rows - 1) / rows, 1, [&](int64_t begin, int64_t end) {
    Block block(p, rows);
    uint16_t* mine = numbers + at::get_thread_num() * rows * p.width;
    for (int64_t i = begin; i < end; ++i) {
      const int64_t start = i * rows, count = std::min(rows, tokens - start);
      run_block(p, block, mine, first + start, count, losses, grad_hidden, pairs + start / 2 * kTile, step);
    }
    at::native::cpublas::brgemm_release(true);
  });
  for (int64_t token = 0; token < even; ++token) {
    for (int64_t i = 0; i <= p.size; ++i) {
      const float value = token >= tokens ? 0.0f : i < p.size ? p.hidden[(first + token) * p.size + i] : 1.0f;
      left[i * even + token] = value;
    }
  }
  at::parallel_for(0, p.tiles, 1, [&](int64_t begin, int64_t end) {
    std::vector<float> result((p.size + 1) * kTile);
    for (int64_t tile = begin; tile < end; ++tile) {
      run_tile(p, left, pairs + tile * step, even, tile, result.data(), grad_weight, grad_bias, add);
    }
    at::native::cpublas::brgemm_release(true);
  });
}

// hidden (tokens, size), weight (columns, size), bias (columns): fp32; targets (tokens) int64; all contiguous. Returns
// the nats of each token, unscaled, and the gradients of their sum times `scale`, all in fp32.
std::tuple<at::Tensor, at::Tensor, at::Tensor, at::Tensor> cross_entropy(const at::Tensor& hidden, const at::Tensor& weight,
                                                                         const std::optional<at::Tensor>& bias,
                                                                         const at::Tensor& targets, double scale) {
  Problem p{};
  const int64_t tokens = hidden.size(0);
  p.size = hidden.size(1);
  p.depth = up(p.size, 2);
  p.columns = weight.size(0);
  p.tiles = (p.columns + kTile - 1) / kTile;
  p.width = p.tiles * kTile;
  p.hidden = hidden.const_data_ptr<float>();
  p.weight = weight.const_data_ptr<float>();
  p.targets = targets.const_data_ptr<int64_t>();
  p.scale = static_cast<float>(scale);
  for (int64_t token = 0; token < tokens; ++token) {
    TORCH_CHECK_INDEX(p.targets[token] == kIgnored || (0 <= p.targets[token] && p.targets[token] < p.columns), "Target ",
                      p.targets[token], " is out of bounds: there are ", p.columns, " columns.");
  }
  std::vector<float> padded(p.width, -std::numeric_limits<float>::infinity());
  std::fill_n(padded.begin(), p.columns, 0.0f);
  if (bias.has_value()) std::copy_n(bias->const_data_ptr<float>(), p.columns, padded.begin());
  p.bias = padded.data();
  pack_weight(p);
  at::Tensor losses = at::empty({tokens}, hidden.options()), grad_hidden = at::empty({tokens, p.size}, hidden.options());
  at::Tensor grad_weight = at::empty({p.columns, p.size}, hidden.options());
  at::Tensor grad_bias = at::empty({p.columns}, hidden.options());
  const int64_t most = std::max(kMostRows, kMostErrors / p.width / kMostRows * kMostRows);
  for (int64_t first = 0; first < tokens; first += most) {
    run_group(p, first, std::min(most, tokens - first), losses.mutable_data_ptr<float>(),
              grad_hidden.mutable_data_ptr<float>(), grad_weight.mutable_data_ptr<float>(),
              grad_bias.mutable_data_ptr<float>(), first > 0);
  }
  return {losses, grad_hidden, grad_weight, grad_bias};
}

// Whether this processor has products of bf16.
bool multiplies_half() {
  std::array<Half, 64> ones;
  std::array<float, 32> result;
  ones.fill(Half(1.0f));
  try {
    at::native::cpublas::brgemm(1, 32, 2, 2, 32, 32, false, ones.data(), ones.data(), result.data(), true);
    at::native::cpublas::brgemm_release(true);
  } catch (const c10::Error&) {
    return false;
  }
  return result[0] == 2.0f;
}

}  // namespace
}  // namespace half

OPERATORS(m) {
  m.def("half_cross_entropy(Tensor hidden, Tensor weight, Tensor? bias, Tensor targets, float scale)"
        " -> (Tensor, Tensor, Tensor, Tensor)", &half::cross_entropy);
  m.def("multiplies_half() -> bool", &half::multiplies_half);
}
