// A cell over time: matrix products and pieces of row arithmetic in turn, without Python between the steps.
#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/native/CPUBlas.h>
#include <ATen/ops/empty.h>
#include <c10/util/accumulate.h>
#include <torch/library.h>
#ifdef _OPENMP
#include <omp.h>
#endif
#ifdef __linux__
#include <sys/mman.h>
#endif
#include <deque>
#include <mutex>
#include <vector>

namespace {

constexpr int64_t SMALL_WORK = 1 << 16;  // multiplications that one thread makes sooner than two agree

using at::BFloat16;
using PieceFunction = void (*)(char* const*, const int64_t*, const int64_t*, const float*, float*, int64_t, int64_t);

// A part of a buffer at a step: the part number (step + shift) % period, or, where period is 0, the thread's own part.
struct Slot {
  int64_t buffer, shift, period;
};

struct Piece {
  PieceFunction function;
  std::vector<Slot> slots;
  std::vector<int64_t> sizes;
  std::vector<float> numbers;
  int64_t scratch;
  std::vector<std::pair<int64_t, int64_t>> results;  // slots and widths that are 0 in rows whose sequence has ended
};

// result (+)= factor @ weight.T, or @ weight where it is transposed
struct Product {
  Slot factor, result;
  int64_t weight;
  bool transposed, accumulate;
};

// In rows whose sequence has ended, `to` gets what `from` holds. Where no step writes `to`, it is 0 in the others.
struct Carry {
  Slot from, to;
  int64_t width;
  bool written;
};

// A product or a piece, and whether it needs what other threads have made meanwhile.
struct Item {
  bool product, waits;
  int64_t number;
};

struct Program {
  std::vector<Piece> pieces;
  std::vector<Product> products;
  std::vector<Item> order;
  std::vector<Carry> carries;
};

std::mutex programs_lock;
std::deque<Program> programs;

struct Reader {
  const std::vector<int64_t>& numbers;
  size_t at = 0;
  int64_t next() { return numbers[at++]; }
  Slot slot() { return Slot{next(), next(), next()}; }
  template <typename Read>
  auto list(Read read) {
    std::vector<decltype(read())> all(next());
    for (auto& one : all) one = read();
    return all;
  }
};

// Takes what `_native.py` writes.
int64_t create(at::IntArrayRef description, at::ArrayRef<double> numbers) {
  std::vector<int64_t> values = description.vec();
  Reader reader{values};
  size_t used = 0;
  Program program;
  program.pieces = reader.list([&] {
    Piece piece;
    piece.function = reinterpret_cast<PieceFunction>(reader.next());
    piece.slots = reader.list([&] { return reader.slot(); });
    piece.sizes = reader.list([&] { return reader.next(); });
    piece.numbers.resize(reader.next());
    for (float& one : piece.numbers) one = float(numbers[used++]);
    piece.scratch = reader.next();
    piece.results = reader.list([&] {
      int64_t slot = reader.next();
      return std::pair<int64_t, int64_t>(slot, reader.next());
    });
    return piece;
  });
  program.products = reader.list([&] {
    Slot factor = reader.slot(), result = reader.slot();
    int64_t weight = reader.next();
    bool transposed = reader.next();
    return Product{factor, result, weight, transposed, bool(reader.next())};
  });
  program.order = reader.list([&] {
    bool product = reader.next(), waits = reader.next();
    return Item{product, waits, reader.next()};
  });
  program.carries = reader.list([&] {
    Slot from = reader.slot(), to = reader.slot();
    int64_t width = reader.next();
    return Carry{from, to, width, bool(reader.next())};
  });
  std::lock_guard<std::mutex> guard(programs_lock);
  programs.push_back(std::move(program));
  return int64_t(programs.size()) - 1;
}

struct Memory {
  char* data;
  int64_t step, row, bytes;  // bytes from part to part, elements from row to row, bytes of an element
  bool half;

  Memory(char* data, int64_t step, int64_t row) : data(data), step(step), row(row), bytes(4), half(false) {}

  explicit Memory(const at::Tensor& tensor)
      : data(static_cast<char*>(tensor.data_ptr())),
        row(tensor.dim() == 3 ? tensor.stride(1) : 0),
        bytes(tensor.element_size()),
        half(tensor.scalar_type() == at::kBFloat16) {
    step = tensor.dim() > 1 ? tensor.stride(0) * bytes : 0;
  }
};

uint16_t rounded(float x) {  // to bfloat16, the nearest, the even one of two
  uint32_t bits;
  std::memcpy(&bits, &x, 4);
  return uint16_t(x != x ? (bits >> 16) | 0x40 : (bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

void to_half(const float* from, BFloat16* to, int64_t count) {
  auto* result = reinterpret_cast<uint16_t*>(to);
  for (int64_t i = 0; i < count; ++i) result[i] = rounded(from[i]);
}

struct Share {
  int64_t begin, end;
  Share(int64_t all, int64_t number, int64_t of) : begin(all * number / of), end(all * (number + 1) / of) {}
};

// A weight, cut into blocks of columns of the result, each (inner, block) in one piece; in bfloat16 two values of the
// inner dimension stand side by side.
struct Packed {
  static constexpr int64_t PART = 640;
  const float* weight;
  int64_t outer, inner, stride_outer, stride_inner, block, blocks;
  bool half;
  at::Tensor memory;

  Packed(const at::Tensor& from, bool transposed, bool half, int64_t threads)
      : weight(from.data_ptr<float>()),
        outer(from.size(transposed ? 1 : 0)),
        inner(from.size(transposed ? 0 : 1)),
        stride_outer(from.stride(transposed ? 1 : 0)),
        stride_inner(from.stride(transposed ? 0 : 1)),
        half(half) {
    double best = 1e30;
    for (int64_t size : {64, 48, 32}) {  // the columns of the busiest thread decide; small blocks cost a little
      int64_t each = ((outer + size - 1) / size + threads - 1) / threads * size;
      double cost = double(std::min(each, outer)) * (1.0 + 3.0 / size);
      if (cost < best) best = cost, block = size;
    }
    blocks = (outer + block - 1) / block;
    memory = at::empty({blocks * block * padded()}, from.options().dtype(half ? at::kBFloat16 : at::kFloat));
  }

  int64_t padded() const { return half ? (inner + 1) / 2 * 2 : inner; }

  void pack(int64_t number) {
    constexpr int64_t tile = 16;
    int64_t first = number * block, columns = std::min(block, outer - first), at = number * block * padded();
    float values[tile][tile];  // by inner and outer place
    for (int64_t k = 0; k < padded(); k += tile)
      for (int64_t c = 0; c < block; c += tile) {
        int64_t insides = std::min(tile, padded() - k);
        const float* from = weight + (first + c) * stride_outer + k * stride_inner;
        if (k + tile <= inner && c + tile <= columns) {
          read_tile(from, values);
        } else {
          for (int64_t i = 0; i < tile; ++i)
            for (int64_t j = 0; j < tile; ++j)
              values[i][j] = k + i < inner && c + j < columns ? from[j * stride_outer + i * stride_inner] : 0.0f;
        }
        if (half) {
          auto* to = reinterpret_cast<uint16_t*>(memory.data_ptr<BFloat16>()) + at + k * block + c * 2;
          for (int64_t i = 0; i < insides; i += 2)
            for (int64_t j = 0; j < tile; ++j)
              for (int64_t one = 0; one < 2; ++one) to[i * block + j * 2 + one] = rounded(values[i + one][j]);
        } else {
          float* to = memory.data_ptr<float>() + at + k * block + c;
          for (int64_t i = 0; i < insides; ++i) std::memcpy(to + i * block, values[i], sizeof values[i]);
        }
      }
  }

  void read_tile(const float* from, float (&values)[16][16]) const {
    if (stride_outer == 1) {
      for (int64_t i = 0; i < 16; ++i) std::memcpy(values[i], from + i * stride_inner, sizeof values[i]);
      return;
    }
    float lines[16][16];
    for (int64_t j = 0; j < 16; ++j)
      for (int64_t i = 0; i < 16; ++i) lines[j][i] = from[j * stride_outer + i * stride_inner];
    for (int64_t i = 0; i < 16; ++i)
      for (int64_t j = 0; j < 16; ++j) values[i][j] = lines[j][i];
  }

  // Adds up over parts of the inner dimension that stay in the cache for all of a thread's blocks.
  void multiply(Share share, int64_t rows, const char* factor, int64_t factor_row, char* result, int64_t result_row,
                bool accumulate) const {
    int64_t parts = (padded() + PART - 1) / PART;
    int64_t size = (padded() / parts + 15) / 16 * 16;
    for (int64_t k = 0; k < padded(); k += size, accumulate = true)
      for (int64_t number = share.begin; number < share.end; ++number) {
        int64_t columns = std::min(block, outer - number * block), inside = std::min(size, padded() - k);
        int64_t at = number * block * padded() + k * block;
        float* to = reinterpret_cast<float*>(result) + number * block;
        if (half)
          at::native::cpublas::brgemm(rows, columns, inside, factor_row, block, result_row, accumulate,
                                      reinterpret_cast<const BFloat16*>(factor) + k,
                                      memory.data_ptr<BFloat16>() + at, to, true);
        else
          at::native::cpublas::brgemm(rows, columns, inside, factor_row, block, result_row, accumulate,
                                      reinterpret_cast<const float*>(factor) + k, memory.data_ptr<float>() + at, to,
                                      false);
      }
  }
};

// A weight as it is, for few rows: to pack it would take longer than to use it once.
struct Direct {
  const float* weight;
  int64_t outer, inner, row;

  explicit Direct(const at::Tensor& from)
      : weight(from.data_ptr<float>()), outer(from.size(0)), inner(from.size(1)), row(from.stride(0)) {}

  void multiply(Share share, int64_t rows, const float* factor, int64_t factor_row, float* result,
                int64_t result_row) const {
    constexpr int64_t together = 4;
    for (int64_t n = share.begin; n < share.end; n += together)
      for (int64_t r = 0; r < rows; ++r) {
        int64_t count = std::min(together, share.end - n);
        if (count == together) dots<together>(n, factor + r * factor_row, result + r * result_row);
        else
          for (int64_t i = n; i < share.end; ++i) dots<1>(i, factor + r * factor_row, result + r * result_row);
      }
  }

  template <int64_t count>
  void dots(int64_t n, const float* factor, float* result) const {
    Vector sums[count] = {};
    int64_t k = 0;
    for (; k + LANES <= inner; k += LANES) {
      Vector x = load(factor + k, Full{});
      for (int64_t i = 0; i < count; ++i) sums[i] += x * load(weight + (n + i) * row + k, Full{});
    }
    if (k < inner) {
      Part rest{inner - k};
      Vector x = load(factor + k, rest);
      for (int64_t i = 0; i < count; ++i) sums[i] += x * load(weight + (n + i) * row + k, rest);
    }
    for (int64_t i = 0; i < count; ++i) result[n + i] = sum_of_lanes(sums[i])[0];
  }
};

struct Call {
  const Program& program;
  std::vector<Memory> buffers;
  std::vector<Packed> packed;
  std::vector<Direct> direct;  // in place of `packed`
  int64_t time, rows;
  bool reverse;
  const int64_t* lengths;

  char* at(const Slot& slot, int64_t step, int64_t thread) const {
    const Memory& memory = buffers[slot.buffer];
    int64_t part = slot.period == 0 ? thread : (step + slot.shift) % slot.period;
    return memory.data + part * memory.step;
  }

  void start(int64_t threads) {
#ifdef _OPENMP
    if (threads > 1 && !at::in_parallel_region()) {
#pragma omp parallel num_threads(threads)
      work(omp_get_thread_num(), omp_get_num_threads());
      return;
    }
#endif
    work(0, 1);
  }

  void work(int64_t thread, int64_t threads) {
    for (Packed& one : packed) {
      Share share(one.blocks, thread, threads);
      for (int64_t block = share.begin; block < share.end; ++block) one.pack(block);
    }
    int64_t scratch_size = 0;
    size_t most = 0;
    for (const Piece& piece : program.pieces) {
      scratch_size = std::max(scratch_size, piece.scratch);
      most = std::max(most, piece.slots.size());
    }
    std::vector<float> scratch(scratch_size);
    std::vector<char*> data(most);
    std::vector<int64_t> row(most);
    Share own(rows, thread, threads);
    bool carrying = lengths;
    for (const Carry& carry : program.carries) carrying |= !carry.written;
    for (int64_t number = 0; number < time; ++number) {
      int64_t step = reverse ? time - 1 - number : number;
      for (const Item& item : program.order) {
        if (item.waits) wait(threads);
        if (item.product) multiply(item.number, step, thread, threads);
        else run_piece(program.pieces[item.number], step, thread, own, data, row, scratch);
      }
      if (carrying) {
        wait(threads);
        for (const Carry& carry : program.carries) run_carry(carry, step, own);
      }
    }
    if (!packed.empty()) at::native::cpublas::brgemm_release(packed[0].half);
  }

  void wait(int64_t threads) const {
    if (threads > 1 && !program.products.empty()) {
#pragma omp barrier
    }
  }

  void multiply(int64_t index, int64_t step, int64_t thread, int64_t threads) const {
    const Product& product = program.products[index];
    const char* factor = at(product.factor, step, thread);
    char* result = at(product.result, step, thread);
    int64_t factor_row = buffers[product.factor.buffer].row, result_row = buffers[product.result.buffer].row;
    if (!direct.empty()) {
      Share share(direct[index].outer, thread, threads);
      return direct[index].multiply(share, rows, reinterpret_cast<const float*>(factor), factor_row,
                                    reinterpret_cast<float*>(result), result_row);
    }
    Share share(packed[index].blocks, thread, threads);
    packed[index].multiply(share, rows, factor, factor_row, result, result_row, product.accumulate);
  }

  void run_piece(const Piece& piece, int64_t step, int64_t thread, Share own, std::vector<char*>& data,
                 std::vector<int64_t>& row, std::vector<float>& scratch) const {
    for (size_t i = 0; i < piece.slots.size(); ++i) {
      data[i] = at(piece.slots[i], step, thread);
      row[i] = buffers[piece.slots[i].buffer].row;
    }
    auto run = [&](int64_t begin, int64_t end) {
      if (begin < end)
        piece.function(data.data(), row.data(), piece.sizes.data(), piece.numbers.data(), scratch.data(), begin, end);
    };
    if (!lengths) return run(own.begin, own.end);
    int64_t begin = own.begin;
    for (int64_t r = own.begin; r < own.end; ++r) {
      if (step < lengths[r]) continue;
      run(begin, r);
      begin = r + 1;
      for (auto [slot, width] : piece.results) {
        int64_t bytes = buffers[piece.slots[slot].buffer].bytes;
        std::memset(data[slot] + r * row[slot] * bytes, 0, width * bytes);
      }
    }
    run(begin, own.end);
  }

  void run_carry(const Carry& carry, int64_t step, Share own) const {
    const Memory& memory = buffers[carry.from.buffer];  // the same for `to`
    char *from = at(carry.from, step, 0), *to = at(carry.to, step, 0);
    int64_t row = memory.row * memory.bytes, bytes = carry.width * memory.bytes;
    for (int64_t r = own.begin; r < own.end; ++r) {
      if (lengths && step >= lengths[r]) std::memcpy(to + r * row, from + r * row, bytes);
      else if (!carry.written) std::memset(to + r * row, 0, bytes);
    }
  }
};

const Program& program_of(int64_t number) {
  std::lock_guard<std::mutex> guard(programs_lock);
  return programs[number];
}

void run(int64_t number, at::TensorList tensors, int64_t time, int64_t rows, bool reverse,
         const std::optional<at::Tensor>& lengths, int64_t threads) {
  const Program* program = &program_of(number);
  Call call{*program, {}, {}, {}, time, rows, reverse, lengths ? lengths->data_ptr<int64_t>() : nullptr};
  for (const at::Tensor& tensor : tensors) call.buffers.emplace_back(tensor);
  for (const Product& product : program->products)
    call.packed.emplace_back(tensors[product.weight], product.transposed, call.buffers[product.factor.buffer].half,
                             threads);
  call.start(threads);
}

// One step without a gradient, for few rows in fp32: the program that `run` runs forwards. `kinds` says for each of its
// buffers what it is: 0 as given, 1 rows as given, 2 a state, given, 3 neither given nor kept, of the width in `widths`.
std::vector<at::Tensor> step(int64_t number, at::IntArrayRef kinds, at::IntArrayRef widths, at::TensorList given,
                             int64_t rows, int64_t threads) {
  const Program& program = program_of(number);
  Call call{program, {}, {}, {}, 1, rows, false, nullptr};
  std::vector<at::Tensor> results, kept;
  size_t used = 0;
  for (size_t i = 0; i < kinds.size(); ++i) {
    if (kinds[i] == 0) {
      call.buffers.emplace_back(given[used++]);
    } else if (kinds[i] == 1) {
      const at::Tensor& tensor = given[used++];
      call.buffers.emplace_back(static_cast<char*>(tensor.data_ptr()), 0, tensor.stride(0));
    } else if (kinds[i] == 2) {
      kept.push_back(given[used++].contiguous());
      results.push_back(at::empty(kept.back().sizes(), kept.back().options()));
      char *before = static_cast<char*>(kept.back().data_ptr()), *after = static_cast<char*>(results.back().data_ptr());
      call.buffers.emplace_back(before, after - before, kept.back().size(1));
    } else {
      kept.push_back(at::empty({rows, widths[i]}, at::TensorOptions(at::kFloat)));
      call.buffers.emplace_back(static_cast<char*>(kept.back().data_ptr()), 0, widths[i]);
    }
  }
  std::vector<at::Tensor> by_buffer(kinds.size());
  used = 0;
  for (size_t i = 0; i < kinds.size(); ++i)
    if (kinds[i] != 3) by_buffer[i] = given[used++];
  int64_t work = 0;
  for (const Product& product : program.products) {
    call.direct.emplace_back(by_buffer[product.weight]);
    work += rows * call.direct.back().outer * call.direct.back().inner;
  }
  call.start(work < SMALL_WORK ? 1 : threads);
  return results;
}

// Whether this processor multiplies bfloat16 in the way that `Packed` asks for.
bool multiplies_half() {
  std::vector<BFloat16> ones(64 * 2, BFloat16(1.0f));
  std::vector<float> result(32);
  try {
    at::native::cpublas::brgemm(1, 32, 2, 2, 32, 32, false, ones.data(), ones.data(), result.data(), true);
    at::native::cpublas::brgemm_release(true);
  } catch (const std::exception&) {
    return false;
  }
  return result[0] == 2.0f && result[31] == 2.0f;
}

// Large memory is used again as soon as no tensor refers to it: to be given it anew by the system, page by page, can
// take longer than what is done with it. What has not been of use for a while is given back.
class Pool {
 public:
  at::Tensor allocate(at::IntArrayRef sizes, at::ScalarType type) {
    int64_t bytes = c10::multiply_integers(sizes) * c10::elementSize(type);
    if (bytes < LARGE) return at::empty(sizes, at::TensorOptions(type));
    auto impl = c10::make_intrusive<c10::TensorImpl>(storage(bytes), c10::DispatchKeySet(c10::DispatchKey::CPU),
                                                     c10::scalarTypeToTypeMeta(type));
    impl->set_sizes_contiguous(sizes);
    return at::Tensor(std::move(impl));
  }

 private:
  static constexpr int64_t LARGE = 1 << 20, PATIENCE = 200;
  struct Entry {
    c10::Storage storage;
    const void* data;
    int64_t used;
    // Not if a tensor refers to it, nor if it was moved to where other processes see it.
    bool free() const { return storage.use_count() == 1 && storage.data() == data; }
  };
  std::mutex lock;
  std::vector<Entry> entries;
  int64_t clock = 0;

  c10::Storage storage(int64_t bytes) {
    std::lock_guard<std::mutex> guard(lock);
    ++clock;
    std::erase_if(entries, [&](const Entry& one) {
      return one.storage.data() != one.data || (one.free() && clock - one.used > PATIENCE);
    });
    Entry* best = nullptr;
    for (Entry& one : entries) {
      int64_t size = one.storage.nbytes();
      if (one.free() && size >= bytes && size <= bytes + bytes / 2)
        if (!best || size < int64_t(best->storage.nbytes())) best = &one;
    }
    if (!best) {
      at::Tensor memory = at::empty({bytes}, at::TensorOptions(at::kByte));
      ask_for_large_pages(memory);
      best = &entries.emplace_back(Entry{memory.storage(), memory.data_ptr(), clock});
    }
    best->used = clock;
    return best->storage;
  }

  static void ask_for_large_pages(const at::Tensor& memory) {
#ifdef __linux__
    constexpr uintptr_t page = 4096;
    uintptr_t begin = reinterpret_cast<uintptr_t>(memory.data_ptr());
    uintptr_t first = (begin + page - 1) / page * page, last = (begin + memory.nbytes()) / page * page;
    madvise(reinterpret_cast<void*>(first), last - first, MADV_HUGEPAGE);
#endif
  }
};

at::Tensor allocate(at::IntArrayRef sizes, at::ScalarType type) {
  static Pool* pool = new Pool();  // never destroyed: tensors may outlive what is destroyed at exit
  return pool->allocate(sizes, type);
}

// x @ weight.T + bias, or x @ weight where it is transposed, for all steps at once: x (rows, inner) in fp32 or bfloat16.
// With `half` it is a product of bfloat16, and the result is bfloat16 with `half_result`.
at::Tensor product(const at::Tensor& x, const at::Tensor& weight, const std::optional<at::Tensor>& bias,
                   bool transposed, bool half, bool half_result) {
  Packed packed(weight, transposed, half, 1);
  int64_t rows = x.size(0), inner = packed.padded();
  bool converted = half && (x.scalar_type() != at::kBFloat16 || inner != x.size(1));
  at::Tensor from = converted ? x.to(at::kFloat) : x;
  at::Tensor factor = converted ? allocate({rows, inner}, at::kBFloat16) : x;
  at::Tensor result = allocate({rows, packed.outer}, half_result ? at::kBFloat16 : at::kFloat);
  const float* shift = bias ? bias->data_ptr<float>() : nullptr;
  at::parallel_for(0, packed.blocks, 1, [&](int64_t begin, int64_t end) {
    for (int64_t number = begin; number < end; ++number) packed.pack(number);
  });
  int64_t threads = at::get_num_threads();
  int64_t blocks = ((rows + 127) / 128 + threads - 1) / threads * threads, block = (rows + blocks - 1) / blocks;
  at::parallel_for(0, (rows + block - 1) / block, 1, [&](int64_t begin, int64_t end) {
    std::vector<float> scratch(half_result ? block * packed.block : 0);
    for (int64_t first = begin * block; first < std::min(end * block, rows); first += block) {
      int64_t count = std::min(block, rows - first), bytes = factor.element_size();
      if (converted)
        for (int64_t r = first; r < first + count; ++r) {
          BFloat16* to = factor.data_ptr<BFloat16>() + r * inner;
          to_half(from.data_ptr<float>() + r * from.stride(0), to, x.size(1));
          std::fill(to + x.size(1), to + inner, BFloat16(0.0f));
        }
      char* start = static_cast<char*>(factor.data_ptr()) + first * factor.stride(0) * bytes;
      for (int64_t number = 0; number < packed.blocks; ++number) {
        int64_t columns = std::min(packed.block, packed.outer - number * packed.block), at = number * packed.block;
        float* to = half_result ? scratch.data() : result.data_ptr<float>() + first * packed.outer + at;
        int64_t row = half_result ? packed.block : packed.outer;
        for (int64_t r = 0; shift && r < count; ++r) std::copy(shift + at, shift + at + columns, to + r * row);
        packed.multiply(Share(packed.blocks, number, packed.blocks), count, start, factor.stride(0),
                        reinterpret_cast<char*>(to - at), row, shift != nullptr);
        for (int64_t r = 0; half_result && r < count; ++r)
          to_half(to + r * row, result.data_ptr<BFloat16>() + (first + r) * packed.outer + at, columns);
      }
    }
    at::native::cpublas::brgemm_release(half);
  });
  return result;
}

}  // namespace

OPERATORS(m) {
  m.def("create(int[] description, float[] numbers) -> int", &create);
  m.def(
      "run(int program, Tensor[] buffers, int time, int rows, bool reverse, Tensor? lengths, int threads) -> ()", &run);
  m.def(
      "step(int program, int[] kinds, int[] widths, Tensor[] given, int rows, int threads) -> Tensor[]", &step);
  m.def(
      "product(Tensor x, Tensor weight, Tensor? bias, bool transposed, bool half, bool half_result) -> Tensor",
      &product);
  m.def("allocate(int[] sizes, ScalarType type) -> Tensor", &allocate);
  m.def("multiplies_half() -> bool", &multiplies_half);
}
