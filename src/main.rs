//! The binary: hands over to `app`. Thin on purpose.

/// Many small allocations are what reading JSON is made of: a third faster than with glibc's allocator for one Patient, and
/// no slower by the entry for a bundle of 10,000 than for one of 1,000, where glibc gives memory back and asks for it again.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    liaison::app::main()
}
