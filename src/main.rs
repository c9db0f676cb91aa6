//! The binary: hands over to `app`. Thin on purpose.

fn main() -> std::process::ExitCode {
    liaison::app::main()
}
