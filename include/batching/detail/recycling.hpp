// RecyclingAllocator: small blocks go round between the threads instead of to the heap and back.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <array>
#include <cstddef>
#include <mutex>
#include <new>

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
/// thread keeps a short list of free blocks for each size; full lists travel between threads through a depot, one
/// lock for a whole list (the magazines of Bonwick and Adams, "Magazines and Vmem", USENIX 2001). What is kept is
/// bounded: `list_length * (2 * threads + depot_lists)` blocks of a size; the rest goes back to the heap.
class Recycler {
 public:
  static constexpr std::size_t step = 16;         // sizes are rounded up to this
  static constexpr std::size_t largest = 512;     // above it: the heap
  static constexpr std::size_t list_length = 64;  // blocks that change threads at once
  static constexpr std::size_t depot_lists = 32;  // lists the depot keeps for each size

  [[nodiscard]] static void* allocate(std::size_t size) {
    if (!BATCHING_RECYCLE || size > largest) return ::operator new(size);
    Cache* cache = this_thread();
    if (cache == nullptr) return ::operator new(rounded(size));
    List& list = cache->lists[size_class(size)];
    if (list.head == nullptr && !depot().take(size_class(size), list)) return ::operator new(rounded(size));
    Block* block = list.head;
    list.head = block->next;
    --list.length;
    return block;
  }

  static void deallocate(void* memory, std::size_t size) noexcept {
    Cache* cache = BATCHING_RECYCLE && size <= largest ? this_thread() : nullptr;
    if (cache == nullptr) return ::operator delete(memory);
    const std::size_t index = size_class(size);
    if (cache->lists[index].length == list_length) {
      // Keep one full list in reserve, so that a thread at the edge does not go to the depot for every block.
      if (cache->reserve[index].length != 0) depot().put(index, cache->reserve[index]);
      cache->reserve[index] = cache->lists[index];
      cache->lists[index] = {};
    }
    cache->lists[index].push(::new (memory) Block{nullptr});
  }

 private:
  struct Block {
    Block* next;
  };
  struct List {
    Block* head = nullptr;
    std::size_t length = 0;

    void push(Block* block) noexcept {
      block->next = head;
      head = block;
      ++length;
    }
    void free() noexcept {
      while (Block* block = head) {
        head = block->next;
        ::operator delete(block);
      }
      length = 0;
    }
  };
  static constexpr std::size_t classes = largest / step;
  static constexpr std::size_t size_class(std::size_t size) noexcept { return size == 0 ? 0 : (size - 1) / step; }
  static constexpr std::size_t rounded(std::size_t size) noexcept { return (size_class(size) + 1) * step; }

  class Depot {
   public:
    bool take(std::size_t index, List& into) noexcept {
      const std::lock_guard lock(mutex_);
      Shelf& shelf = shelves_[index];
      if (shelf.count == 0) return false;
      into = shelf.lists[--shelf.count];
      return true;
    }
    void put(std::size_t index, List list) noexcept {
      if (list.length == 0) return;
      {
        const std::lock_guard lock(mutex_);
        Shelf& shelf = shelves_[index];
        if (shelf.count < depot_lists) {
          shelf.lists[shelf.count++] = list;
          return;
        }
      }
      list.free();
    }

   private:
    struct Shelf {
      std::array<List, depot_lists> lists{};
      std::size_t count = 0;
    };
    std::mutex mutex_;
    std::array<Shelf, classes> shelves_{};
  };

  struct Cache {
    std::array<List, classes> lists{};
    std::array<List, classes> reserve{};

    Cache() = default;
    Cache(const Cache&) = delete;
    Cache& operator=(const Cache&) = delete;
    ~Cache() {
      current_ = nullptr;
      gone_ = true;
      for (std::size_t index = 0; index < classes; ++index) {
        depot().put(index, lists[index]);
        depot().put(index, reserve[index]);
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
      return static_cast<T*>(Recycler::allocate(count * sizeof(T)));
    }
  }
  void deallocate(T* memory, std::size_t count) noexcept {
    if constexpr (alignof(T) > __STDCPP_DEFAULT_NEW_ALIGNMENT__) {
      ::operator delete(memory, std::align_val_t(alignof(T)));
    } else {
      Recycler::deallocate(memory, count * sizeof(T));
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

}  // namespace batching::detail
