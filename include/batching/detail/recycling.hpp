// RecyclingAllocator: small blocks go round between the threads instead of to the heap and back.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <batching/detail/prefetch.hpp>

#include <cstddef>
#include <memory>
#include <mutex>
#include <new>
#include <utility>
#include <vector>

// Recycled memory would hide a use after free from the tool that looks for it.
#if defined(__SANITIZE_ADDRESS__)
#define BATCHING_RECYCLE 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define BATCHING_RECYCLE 0
#endif
#endif
#ifndef BATCHING_RECYCLE
#define BATCHING_RECYCLE 1
#endif

namespace batching::detail {

/// A submission is allocated by its caller's thread and freed by the one that answered it, at any rate, for ever. Each
/// thread keeps two short stacks of free blocks for each size, *magazines*; full and empty ones travel between threads
/// through a depot, one lock for a whole magazine (Bonwick and Adams, "Magazines and Vmem", USENIX 2001). What is kept
/// is bounded: `blocks * (2 * threads + depot_magazines)` blocks of a size; the rest goes back to the heap.
///
/// A magazine holds addresses; it is no list through the blocks. So a block that another processor has written last
/// need not be read to find the next one, and its memory can be fetched ahead.
class Recycler {
 public:
  static constexpr std::size_t step = 16;             // sizes are rounded up to this
  static constexpr std::size_t largest = 512;         // above it: the heap
  static constexpr std::size_t blocks = 64;           // that change threads at once
  static constexpr std::size_t depot_magazines = 32;  // full ones that the depot keeps for each size

  [[nodiscard, gnu::always_inline]] static void* allocate(std::size_t size) {
    if (Cache* cache = recycled(size) ? current_ : nullptr) {
      Magazine* loaded = cache->pouches[size_class(size)].loaded;
      if (loaded != nullptr && loaded->count > 0) return loaded->pop();
    }
    return allocate_slowly(size);
  }

  [[gnu::always_inline]] static void deallocate(void* memory, std::size_t size) noexcept {
    if (Cache* cache = recycled(size) ? current_ : nullptr) {
      Magazine* loaded = cache->pouches[size_class(size)].loaded;
      if (loaded != nullptr && loaded->count < blocks) return loaded->push(memory);
    }
    deallocate_slowly(memory, size);
  }

 private:
  static constexpr bool recycled(std::size_t size) noexcept { return BATCHING_RECYCLE && size <= largest; }

  [[nodiscard, gnu::noinline]] static void* allocate_slowly(std::size_t size) {
    Cache* cache = recycled(size) ? this_thread() : nullptr;
    if (cache == nullptr) return ::operator new(rounded(size));
    Pouch& pouch = cache->pouches[size_class(size)];
    return pouch.refill(size_class(size)) ? pouch.loaded->pop() : ::operator new(rounded(size));
  }
  [[gnu::noinline]] static void deallocate_slowly(void* memory, std::size_t size) noexcept {
    Cache* cache = recycled(size) ? this_thread() : nullptr;
    if (cache != nullptr) {
      Pouch& pouch = cache->pouches[size_class(size)];
      if (pouch.make_room(size_class(size))) return pouch.loaded->push(memory);
    }
    ::operator delete(memory);
  }

  struct Magazine {
    Magazine* next = nullptr;
    std::size_t count = 0;
    void* stack[blocks];

    [[nodiscard]] void* pop() noexcept {
      constexpr std::size_t ahead = 6;
      if (count > ahead) prefetch(stack[count - 1 - ahead]);
      return stack[--count];
    }
    void push(void* block) noexcept { stack[count++] = block; }
    void free_blocks() noexcept {
      while (count > 0) ::operator delete(stack[--count]);
    }
  };
  struct Magazines {
    Magazine* first = nullptr;
    std::size_t count = 0;

    void push(Magazine* magazine) noexcept {
      magazine->next = first;
      first = magazine;
      ++count;
    }
    [[nodiscard]] Magazine* pop() noexcept {
      Magazine* magazine = first;
      if (magazine != nullptr) {
        first = magazine->next;
        --count;
      }
      return magazine;
    }
  };
  static constexpr std::size_t classes = largest / step;
  static constexpr std::size_t size_class(std::size_t size) noexcept { return size == 0 ? 0 : (size - 1) / step; }
  static constexpr std::size_t rounded(std::size_t size) noexcept { return (size_class(size) + 1) * step; }

  class Depot {
   public:
    /// A full magazine for an empty one, or null.
    [[nodiscard]] Magazine* trade_for_full(std::size_t index, Magazine* empty) noexcept {
      const std::lock_guard lock(mutex_);
      Magazine* full = full_[index].pop();
      if (full != nullptr && empty != nullptr) empty_.push(empty);
      return full;
    }
    /// An empty magazine for a full one, or null.
    [[nodiscard]] Magazine* trade_for_empty(std::size_t index, Magazine* full) noexcept {
      {
        const std::lock_guard lock(mutex_);
        if (full == nullptr || full_[index].count < depot_magazines) {
          if (full != nullptr) full_[index].push(full);
          return empty_.pop();
        }
      }
      full->free_blocks();
      return full;
    }

   private:
    std::mutex mutex_;
    Magazines full_[classes];
    Magazines empty_;
  };

  /// What a thread has of one size.
  struct Pouch {
    Magazine* loaded = nullptr;
    Magazine* spare = nullptr;  // full or empty, so that a thread at the edge does not go to the depot for every block

    [[nodiscard]] bool refill(std::size_t index) noexcept {
      Magazine* full = spare;
      if (full == nullptr || full->count == 0) {
        full = depot().trade_for_full(index, spare);
        if (full == nullptr) return false;
      }
      spare = loaded;
      loaded = full;
      return true;
    }
    [[nodiscard]] bool make_room(std::size_t index) noexcept {
      Magazine* empty = spare;
      if (empty == nullptr || empty->count > 0) {
        empty = depot().trade_for_empty(index, spare);
        spare = nullptr;
        if (empty == nullptr) empty = new (std::nothrow) Magazine;
        if (empty == nullptr) return false;
      }
      spare = loaded;
      loaded = empty;
      return true;
    }
  };

  static void free(Magazine* magazine) noexcept {
    if (magazine != nullptr) magazine->free_blocks();
    delete magazine;
  }

  struct Cache {
    Pouch pouches[classes];

    Cache() = default;
    Cache(const Cache&) = delete;
    Cache& operator=(const Cache&) = delete;
    ~Cache() {
      current_ = nullptr;
      gone_ = true;
      for (const Pouch& pouch : pouches) {
        free(pouch.loaded);
        free(pouch.spare);
      }
    }
  };

  // Never destroyed: a future may outlive every other object of the program.
  static Depot& depot() noexcept {
    alignas(Depot) static std::byte memory[sizeof(Depot)];
    static Depot* const depot = ::new (memory) Depot;
    return *depot;
  }

  static Cache* this_thread() noexcept {
    if (current_ == nullptr && !gone_) [[unlikely]] {
      static thread_local Cache cache;
      current_ = &cache;
    }
    return current_;
  }

  // Plain pointers, so that reading them needs no guard; null again once the thread's own cache is destroyed.
  static inline constinit thread_local Cache* current_ = nullptr;
  static inline constinit thread_local bool gone_ = false;
};

/// The default where a handler brings no allocator of its own.
template <class T>
class RecyclingAllocator {
 public:
  using value_type = T;

  RecyclingAllocator() = default;
  template <class U>
  RecyclingAllocator(const RecyclingAllocator<U>&) noexcept {}  // NOLINT(google-explicit-constructor)

  [[nodiscard]] T* allocate(std::size_t count) {
    if constexpr (alignof(T) > __STDCPP_DEFAULT_NEW_ALIGNMENT__) {
      return static_cast<T*>(::operator new(count * sizeof(T), std::align_val_t(alignof(T))));
    } else {
      return static_cast<T*>(Recycler::allocate(count * sizeof(T)));  // NOLINT(bugprone-sizeof-expression)
    }
  }
  void deallocate(T* memory, std::size_t count) noexcept {
    if constexpr (alignof(T) > __STDCPP_DEFAULT_NEW_ALIGNMENT__) {
      ::operator delete(memory, std::align_val_t(alignof(T)));
    } else {
      Recycler::deallocate(memory, count * sizeof(T));  // NOLINT(bugprone-sizeof-expression)
    }
  }

  template <class U>
  bool operator==(const RecyclingAllocator<U>&) const noexcept {
    return true;
  }
};

template <>
class RecyclingAllocator<void> {
 public:
  using value_type = void;
  RecyclingAllocator() = default;
  template <class U>
  RecyclingAllocator(const RecyclingAllocator<U>&) noexcept {}  // NOLINT(google-explicit-constructor)
  template <class U>
  bool operator==(const RecyclingAllocator<U>&) const noexcept {
    return true;
  }
};

/// Empties a vector that is used again and again, and gives back its memory where that goes round. What is too large
/// for it, or hardly anything, is kept.
template <class T>
void give_back(std::vector<T, RecyclingAllocator<T>>& vector) noexcept {
  constexpr std::size_t hardly_anything = 64;
  const std::size_t size = vector.capacity() * sizeof(T);  // NOLINT(bugprone-sizeof-expression)
  vector.clear();
  if (size > hardly_anything && size <= Recycler::largest) vector = std::vector<T, RecyclingAllocator<T>>();
}

/// Builds a self-owning object in memory of the given allocator.
template <class Object, class Allocator, class... Args>
[[nodiscard]] Object* create(const Allocator& allocator, Args&&... args) {
  typename std::allocator_traits<Allocator>::template rebind_alloc<Object> memory(allocator);
  Object* object = memory.allocate(1);
  try {
    return ::new (static_cast<void*>(object)) Object(std::forward<Args>(args)...);
  } catch (...) {
    memory.deallocate(object, 1);
    throw;
  }
}

template <class Object, class Allocator>
void destroy(Object* object, const Allocator& allocator) noexcept {
  typename std::allocator_traits<Allocator>::template rebind_alloc<Object> memory(allocator);
  object->~Object();
  memory.deallocate(object, 1);
}

}  // namespace batching::detail
