//! The command `cardlab`: composition and nothing else.

mod apdu;
mod bank;
mod card;
mod cases;
mod certificate;
mod elements;
mod explain;
mod issue;
mod kept;
mod monitors;
mod origin;
mod pay;
mod profile;
mod run;
mod serve;
mod show;
mod subject;
mod tear;
mod terminal;
mod test;
mod watch;

use cardlab_conformance::verdict::{EXIT_CODES, Exit};
use clap::{CommandFactory, Parser, Subcommand};
use std::io::{self, Write};
use std::process::ExitCode;

/// A virtual social security card, and the suite that tests it or any other.
///
/// 虚拟社会保障卡及其检测套件。
#[derive(Parser)]
#[command(
    name = "cardlab",
    version,
    after_help = "\
Begin with:
  cardlab test                          issue a card and run the suite against it
  cardlab show                          look at what is on it
  cardlab apdu 00A404000F7378312E73682EC9E7BBE1B1A3D5CF00 00B2013414
  cardlab run -- opensc-tool -l         any PC/SC program with the card in its reader
  cardlab help test                     what a command takes"
)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Run the conformance suite against a card, a new one or an image 运行检测套件
    ///
    /// With --image each case has a copy of its card, and the image stays as it is.
    #[command(after_help = EXIT_CODES)]
    Test(test::Test),
    /// Run a PC/SC program with the card in its only reader 插卡运行PC/SC程序
    #[command(after_help = "\
No daemon, no root, and several at once. The exit code is the program's; as in a shell
127 where there is no such program, 126 where it cannot be run, 128+N where signal N ended it.
A program that ended well gets 1 where a monitor went red (`cardlab monitors`).")]
    Run(run::Run),
    /// Cut the power at every write of commands, and of the recovery 逐次写入断电检测
    #[command(after_help = "\
Exit codes: 0 nothing is broken, 1 something is, 2 the call or a profile is wrong, 4 tool error.
  cardlab tear --before '{\"select\":\"DF04\"}' --before '{\"unlock\":\"pin\"}' \\
               --before '{\"init_load\":{\"fen\":100}}' --command '{\"credit\":{}}'
  cardlab tear --case 'medical/a-purchase-*'
  cardlab tear --all")]
    Tear(tear::Tear),
    /// Put the card into the reader of a vpcd 将卡放入vpcd虚拟读卡器
    #[command(after_help = "\
Exit codes: 0 vpcd closed the link or a signal stopped it, 1 and a monitor went red (`cardlab
monitors`), 2 the call, a file or a profile is wrong, 3 no vpcd there, or its slot is taken, or
the link broke.")]
    Serve(serve::Serve),
    /// Send commands to the card and explain both directions 发送命令并解释
    #[command(after_help = "\
Exit codes: 0 the last command was taken, 1 it was refused or a monitor went red (`cardlab
monitors`), 2 the call, a file or a profile is wrong.
Without --image each call has a new card; with it, the card keeps what is written.")]
    Apdu(apdu::Apdu),
    /// Read, write, pay as a terminal does, over our card or a real one 终端功能
    #[command(
        subcommand,
        after_help = "\
Each prints what a window would see, then the return code and the string of the interface.
Exit codes: 0 the return code is 0, 1 it is another, 2 the call, a file or a profile is wrong,
3 no card or no reader. Without --image each call has a new card.
With --image, profile and seed are those that the image says; a card of other keys is not
genuine, -21.
Where the profile says that the first change comes first, as henan's do, the initial PIN opens
nothing before a change-pin on an --image."
    )]
    Terminal(Box<terminal::Function>),
    /// Pay with the card's bank application at a terminal, each decision explained 金融交易
    #[command(after_help = "\
Without --online, --offline or --ecash the terminal decides. Without --image each call has a new
card, which its bank activates first; with it, `cardlab pay --activate` does.
Exit codes: 0 approved, or activated; 1 declined, no transaction, or a monitor went red (`cardlab
monitors`); 2 the call, a file or a profile is wrong; 3 no card or no reader.")]
    Pay(Box<pay::Pay>),
    /// Print the card as a tree, with names and values 以树形显示卡内数据
    #[command(after_help = "\
Exit codes: 0 it is printed, 2 the call, a file or a profile is wrong.")]
    Show(show::Show),
    /// Look at the card's certificates, sign, verify, seal and open 证书应用
    #[command(subcommand)]
    Certificate(certificate::Certificate),
    /// Answer a terminal as the card's bank does 发卡行主机
    #[command(subcommand)]
    Bank(Box<bank::Bank>),
    /// Issue a card into an image file 发卡并保存为映像文件
    #[command(after_help = "\
Exit codes: 0 the card is in the file, 2 the call, a file or a profile is wrong.")]
    Issue(issue::Issue),
    /// Check card profiles, list them, or print their schema 配置文件
    #[command(subcommand)]
    Profile(profile::Profile),
    /// List, explain or format cases 用例
    #[command(subcommand)]
    Cases(cases::Cases),
    /// List the monitors: what holds in every exchange of every run 常设监视项
    Monitors(monitors::Monitors),
    /// Print a completion script for a shell 命令补全脚本
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
}

fn main() -> ExitCode {
    // A reader that has seen enough, such as `head`, is no error.
    match run(Cli::parse()) {
        Ok(code) => code,
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "cardlab: {error:#}");
            let exit = error
                .downcast_ref::<Stop>()
                .map_or(Exit::Usage, |stop| stop.0);
            ExitCode::from(exit as u8)
        }
    }
}

fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    match cli.verb {
        Verb::Test(verb) => verb.run(),
        Verb::Tear(verb) => verb.run(),
        Verb::Run(verb) => verb.run(),
        Verb::Serve(verb) => verb.run(),
        Verb::Apdu(verb) => verb.run(),
        Verb::Terminal(verb) => verb.run(),
        Verb::Pay(verb) => verb.run(),
        Verb::Show(verb) => verb.run(),
        Verb::Certificate(verb) => verb.run(),
        Verb::Bank(verb) => verb.run(),
        Verb::Issue(verb) => verb.run(),
        Verb::Profile(verb) => verb.run(),
        Verb::Cases(verb) => verb.run(),
        Verb::Monitors(verb) => verb.run(),
        Verb::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "cardlab", &mut script);
            io::stdout().write_all(&script)?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// What an error says that asks for an exit code other than "the call is wrong".
#[derive(Debug)]
struct Stop(Exit, String);

impl std::fmt::Display for Stop {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.1)
    }
}

impl std::error::Error for Stop {}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<io::Error>()
        .is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

#[cfg(test)]
mod tests {
    use super::Cli;
    use cardlab_conformance::plan;
    use cardlab_desk::profile::Profile;
    use clap::{CommandFactory, Parser};

    const README: &str = include_str!("../../README.md");

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    /// The commands in the README's blocks, each as its words.
    fn of_the_readme() -> Vec<Vec<&'static str>> {
        let blocks = README.split("```sh\n").skip(1);
        let lines = blocks.flat_map(|block| block.split("```").next().unwrap_or("").lines());
        let commands = lines.flat_map(|line| {
            let line = line.split(" #").next().unwrap_or_default();
            line.split(" && ").collect::<Vec<_>>()
        });
        commands
            .filter(|command| command.starts_with("cardlab "))
            .map(|command| command.split_whitespace().collect())
            .collect()
    }

    #[test]
    fn every_command_of_the_readme_is_one() {
        let commands = of_the_readme();
        assert!(commands.len() >= 8, "{commands:?}");
        for words in commands {
            if let Err(error) = Cli::try_parse_from(&words) {
                panic!("{words:?}: {error}");
            }
        }
    }

    #[test]
    fn the_profile_in_the_readme_is_clean() {
        let (_, behind) = README.split_once("```json\n").unwrap();
        let (text, _) = behind.split_once("```").unwrap();
        if let Err(report) = Profile::parse("my-card.json", text) {
            panic!("{report}");
        }
    }

    #[test]
    fn every_case_that_the_readme_explains_is_there() {
        let cases = plan::for_profile(&Profile::load("henan-2.0").unwrap()).unwrap();
        let explained: Vec<_> = of_the_readme()
            .into_iter()
            .filter(|words| words.get(2) == Some(&"explain"))
            .collect();
        assert!(!explained.is_empty());
        for words in explained {
            assert!(cases.iter().any(|case| case.id == words[3]), "{words:?}");
        }
    }
}
