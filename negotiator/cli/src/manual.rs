//! What the program says about itself to shells and to `man`, made from the definition of its command line.

use std::{
    fs,
    io::{self, Write},
    path::Path,
};

use clap::CommandFactory;
use clap_mangen::Man;

use crate::{
    args::{Cli, CompletionsArgs, ManArgs},
    exit::Failure,
    files::{self, Readers},
};

/// Prints completions for a shell.
///
/// # Errors
///
/// [`Failure::Io`].
pub fn completions(args: &CompletionsArgs) -> Result<u8, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), NAME, &mut script);
    print(&script)
}

/// Prints the manual page, or writes those of all subcommands into a folder.
///
/// # Errors
///
/// [`Failure::Io`].
pub fn man(args: &ManArgs) -> Result<u8, Failure> {
    let pages = pages().map_err(Failure::io("the manual"))?;
    match &args.folder {
        Some(folder) => write_all(folder, &pages).map_err(Failure::io("the manual pages")).map(|()| 0),
        // The program's own comes last, behind those of its subcommands.
        None => print(pages.last().map_or(&[], |page| &page.text)),
    }
}

#[derive(Debug)]
struct Page {
    file: String,
    text: Vec<u8>,
}

fn pages() -> io::Result<Vec<Page>> {
    let mut command = Cli::command().disable_help_subcommand(true);
    command.build();
    let mut pages = Vec::new();
    add(command, &mut pages)?;
    Ok(pages)
}

fn add(command: clap::Command, pages: &mut Vec<Page>) -> io::Result<()> {
    for subcommand in command.get_subcommands().filter(|subcommand| !subcommand.is_hide_set()) {
        add(subcommand.clone(), pages)?;
    }
    let man = Man::new(command);
    let mut text = Vec::new();
    man.render(&mut text)?;
    pages.push(Page { file: man.get_filename(), text });
    Ok(())
}

fn write_all(folder: &Path, pages: &[Page]) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    for page in pages {
        files::write(&folder.join(&page.file), &page.text, Readers::Everybody)?;
    }
    Ok(())
}

fn print(bytes: &[u8]) -> Result<u8, Failure> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        Ok(()) => Ok(0),
        // `beach-link man | head` has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(0),
        Err(error) => Err(Failure::io("standard output")(error)),
    }
}

const NAME: &str = "beach-link";

#[cfg(test)]
mod tests {
    use clap::ValueEnum;
    use clap_complete::Shell;

    use super::*;

    #[test]
    fn every_subcommand_has_a_page_and_the_exit_codes_are_in_the_first() {
        let pages = pages().unwrap();
        for name in [
            "beach-link.1",
            "beach-link-share.1",
            "beach-link-join.1",
            "beach-link-pipe-host.1",
            "beach-link-ssh.1",
        ] {
            assert!(pages.iter().any(|page| page.file == name), "{name}");
        }
        let first = String::from_utf8_lossy(&pages.last().unwrap().text);
        assert!(first.contains("Exit codes"), "{first}");
        assert!(pages.iter().all(|page| !page.file.contains("help")));
    }

    #[test]
    fn pages_are_written_into_a_folder_that_need_not_be_there() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("man1");
        assert!(matches!(man(&ManArgs { folder: Some(folder.clone()) }), Ok(0)));
        assert_eq!(fs::read_dir(&folder).unwrap().count(), pages().unwrap().len());
    }

    #[test]
    fn every_shell_completes_subcommands_and_options() {
        for shell in Shell::value_variants() {
            let mut script = Vec::new();
            clap_complete::generate(*shell, &mut Cli::command(), NAME, &mut script);
            let script = String::from_utf8(script).unwrap();
            assert!(script.contains("share") && script.contains("give-up-after"), "{shell}");
        }
    }
}
