//! Every key of the configuration as a flag, made from the table of keys.

use std::path::PathBuf;

use clap::{Arg, ArgMatches, Args, Command, FromArgMatches, error::Error as ClapError, value_parser};

use crate::config::{ConfigError, KEYS, Settings, Values};

/// `--config` and one flag per key.
#[derive(Debug, Clone)]
pub(crate) struct SettingsArgs {
    file: Option<PathBuf>,
    flags: Vec<(usize, String)>,
    secret_files: Vec<(usize, PathBuf)>,
}

impl SettingsArgs {
    /// Adds environment and file to the flags and reads it all.
    pub(crate) fn load(&self) -> Result<(Settings, Values), ConfigError> {
        let mut values = Values::default();
        for (key, text) in &self.flags {
            values.set_flag(&KEYS[*key], text.clone());
        }
        for (key, file) in &self.secret_files {
            values.set_flag_file(&KEYS[*key], file)?;
        }
        values.add_environment(KEYS, |name| std::env::var(name).ok())?;
        let file = self.file.clone().or_else(|| std::env::var_os(CONFIG_ENV).map(PathBuf::from));
        if let Some(file) = file {
            let text = std::fs::read_to_string(&file)
                .map_err(|source| ConfigError::Unreadable { file: file.clone(), source })?;
            values.add_toml(KEYS, &text, &file)?;
        }
        let settings = Settings::read(&values)?;
        settings.check().map_err(|error| values.located(error))?;
        Ok((settings, values))
    }

    /// Where a reload finds what may have changed: the configuration file and each file of a secret, readable or not.
    pub(crate) fn files(&self) -> Vec<PathBuf> {
        let named = |name: String| std::env::var_os(name).map(PathBuf::from);
        let variables = KEYS.iter().filter(|key| key.secret).flat_map(|key| key.env);
        let of_environment = variables.filter_map(|name| named(format!("{name}_FILE")));
        let config = self.file.clone().or_else(|| named(CONFIG_ENV.to_owned()));
        self.secret_files.iter().map(|(_, file)| file.clone()).chain(of_environment).chain(config).collect()
    }
}

impl Args for SettingsArgs {
    fn augment_args(command: Command) -> Command {
        let file = Arg::new("config")
            .long("config")
            .value_name("FILE")
            .value_parser(value_parser!(PathBuf))
            .help(format!("Configuration file, TOML [env: {CONFIG_ENV}]"));
        KEYS.iter().fold(command.arg(file), |command, key| {
            let help: Vec<_> = key.help.iter().map(|line| line.trim()).collect();
            let help = format!("{} [default: {:?}] [env: {}]", help.join(" "), (key.default)(), key.env[0]);
            let heading = key.path.split('.').next().unwrap_or_default();
            let flag =
                Arg::new(key.path).long(key.flag()).value_name("VALUE").help(help).help_heading(heading);
            let command = command.arg(flag);
            if !key.secret {
                return command;
            }
            let file = Arg::new(format!("{}-file", key.path))
                .long(format!("{}-file", key.flag()))
                .value_name("FILE")
                .value_parser(value_parser!(PathBuf))
                .help(format!("The same, read from a file [env: {}_FILE]", key.env[0]))
                .conflicts_with(key.path)
                .help_heading(heading);
            command.arg(file)
        })
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for SettingsArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, ClapError> {
        let given = |key: usize| matches.get_one::<String>(KEYS[key].path).cloned();
        let file_of = |key: usize| {
            let id = format!("{}-file", KEYS[key].path);
            KEYS[key].secret.then(|| matches.get_one::<PathBuf>(&id).cloned()).flatten()
        };
        Ok(Self {
            file: matches.get_one::<PathBuf>("config").cloned(),
            flags: (0..KEYS.len()).filter_map(|key| Some((key, given(key)?))).collect(),
            secret_files: (0..KEYS.len()).filter_map(|key| Some((key, file_of(key)?))).collect(),
        })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), ClapError> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

const CONFIG_ENV: &str = "BEACH_LIFEGUARD_CONFIG";
