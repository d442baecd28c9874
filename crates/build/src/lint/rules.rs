//! Every check by name: BuildKit's, in the order and the words of its documentation, and ours.

/// A check, with what it is for.
#[derive(Debug, PartialEq, Eq)]
pub struct Rule {
    /// The name by which it is shown and skipped.
    pub name: &'static str,
    /// What it wants, in one line.
    pub about: &'static str,
    /// Why that is wanted.
    pub why: &'static str,
    /// When it is heard, and what follows.
    pub class: Class,
}

/// When a check is heard, and what follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// BuildKit's: heard unless skipped, and `--check` then ends with an error.
    Warning,
    /// BuildKit's, heard only when asked for.
    Experimental,
    /// Ours: shown by `--check`, and never a reason to fail, so that a file which passes with
    /// docker passes here.
    Advice,
}

macro_rules! rules {
    ($($rule:ident $class:ident $name:literal $about:literal $why:literal)*) => {
        $(pub(super) static $rule: Rule =
            Rule { name: $name, about: $about, why: $why, class: Class::$class };)*
        /// All checks.
        pub static RULES: &[&Rule] = &[$(&$rule),*];
    };
}

rules! {
    STAGE_NAME_CASING Warning "StageNameCasing"
        "Stage names should be lowercase"
        "Names are compared without regard to case; in small letters they differ from keywords at a glance."
    FROM_AS_CASING Warning "FromAsCasing"
        "The 'as' keyword should match the case of the 'from' keyword"
        "Both words belong to one instruction and read better when written alike."
    NO_EMPTY_CONTINUATION Warning "NoEmptyContinuation"
        "Empty continuation lines will become errors in a future release"
        "An empty line looks like the end of an instruction that in fact goes on below it."
    CONSISTENT_INSTRUCTION_CASING Warning "ConsistentInstructionCasing"
        "All commands within the Dockerfile should use the same casing (either upper or lower)"
        "A keyword written unlike all others is easily read over."
    DUPLICATE_STAGE_NAME Warning "DuplicateStageName"
        "Stage names should be unique"
        "A name leads to the stage that has it last; the earlier one can then be reached by its number alone."
    RESERVED_STAGE_NAME Warning "ReservedStageName"
        "Reserved words should not be used as stage names"
        "These words mean something else in FROM and COPY --from, so the stage cannot be named there."
    JSON_ARGS_RECOMMENDED Warning "JSONArgsRecommended"
        "JSON arguments recommended for ENTRYPOINT/CMD to prevent unintended behavior related to OS signals"
        "In shell form a shell is the first process; it does not pass signals on, so `stop` waits and then kills."
    MAINTAINER_DEPRECATED Warning "MaintainerDeprecated"
        "The MAINTAINER instruction is deprecated, use a label instead to define an image author"
        "A label is shown by inspect, can be filtered by, and can be inherited."
    UNDEFINED_ARG_IN_FROM Warning "UndefinedArgInFrom"
        "FROM command must use declared ARGs"
        "An argument that no ARG above the first FROM declares is empty, so another image than meant is used, or none."
    WORKDIR_RELATIVE_PATH Warning "WorkdirRelativePath"
        "Relative workdir without an absolute workdir declared within the build can have unexpected results if the base image changes"
        "The path is joined to whatever folder the base image works in, and that may change with its next version."
    UNDEFINED_VAR Warning "UndefinedVar"
        "Variables should be defined before their use"
        "A variable that neither ARG, ENV nor the base image sets is empty: often a misspelt name."
    MULTIPLE_INSTRUCTIONS_DISALLOWED Warning "MultipleInstructionsDisallowed"
        "Multiple instructions of the same type should not be used in the same stage"
        "An image has one command, one entrypoint and one health check: all but the last are without effect."
    LEGACY_KEY_VALUE_FORMAT Warning "LegacyKeyValueFormat"
        "Legacy key/value format with whitespace separator should not be used"
        "Without an equals sign all the rest of the line is one value, however many pairs it seems to hold."
    INVALID_BASE_IMAGE_PLATFORM Warning "InvalidBaseImagePlatform"
        "Base image platform does not match expected target platform"
        "Programs of an image for another processor do not run here, or only slowly in an emulator."
    REDUNDANT_TARGET_PLATFORM Warning "RedundantTargetPlatform"
        "Setting platform to predefined $TARGETPLATFORM in FROM is redundant as this is the default behavior"
        "A stage is built for the target platform unless it says otherwise."
    SECRETS_USED_IN_ARG_OR_ENV Warning "SecretsUsedInArgOrEnv"
        "Sensitive data should not be used in the ARG or ENV commands"
        "What ARG and ENV hold is kept in the image's history and configuration, for everybody who has the image."
    INVALID_DEFAULT_ARG_IN_FROM Warning "InvalidDefaultArgInFrom"
        "Default value for global ARG results in an empty or invalid base image name"
        "The file can then be built only with the right --build-arg, and says so nowhere."
    FROM_PLATFORM_FLAG_CONST_DISALLOWED Warning "FromPlatformFlagConstDisallowed"
        "FROM --platform flag should not use a constant value"
        "A fixed platform keeps the file from being built for any other."
    COPY_IGNORED_FILE Warning "CopyIgnoredFile"
        "Attempting to Copy file that is excluded by .dockerignore"
        "A file that the ignore file excludes is not in the context, so copying it fails."
    INVALID_DEFINITION_DESCRIPTION Experimental "InvalidDefinitionDescription"
        "Comment for build stage or argument should follow the format: `# <arg/stage name> <description>`. If this is not intended to be a description comment, add an empty line or comment between the instruction and the comment."
        "A comment directly above FROM or ARG is shown by --call=outline and --call=targets when it begins with the name."
    EXPOSE_PROTO_CASING Warning "ExposeProtoCasing"
        "Protocol in EXPOSE instruction should be lowercase"
        "Tools that read an image's ports compare protocols letter by letter."
    EXPOSE_INVALID_FORMAT Warning "ExposeInvalidFormat"
        "IP address and host-port mapping should not be used in EXPOSE instruction. This will become an error in a future release"
        "EXPOSE says what the container listens on; where the host listens is said by run --publish."

    APT_UPDATE_ALONE Advice "AptUpdateAlone"
        "apt-get update should stand in one RUN with the install that needs it"
        "Alone it is cached: weeks later packages are looked up in a stale list and are not found."
    APT_NEEDS_YES Advice "AptNeedsYes"
        "apt-get install in a build needs -y"
        "Nobody is there to answer the question, so the build stops."
    PACKAGE_CACHE_KEPT Advice "PackageCacheKept"
        "A package manager's cache should not stay in the layer"
        "What is downloaded is needed once and then makes every image larger."
    UNPINNED_BASE Advice "UnpinnedBase"
        "A base image should name a version"
        "Without a tag, or with latest, the same file builds another image tomorrow."
    MISSING_IGNORE_FILE Advice "MissingIgnoreFile"
        "A context that is copied whole should have a .dockerignore"
        "Version control, build results and local secrets are copied too, and each change of them misses the cache."
    COPY_BEFORE_INSTALL Advice "CopyBeforeInstall"
        "Files that name dependencies should be copied before all others"
        "When everything is copied first, any change at all installs every dependency anew."
    COMBINE_RUNS Advice "CombineRuns"
        "RUN instructions in a row can be one layer"
        "Each makes a layer, and what a later one deletes still lies in the layer of an earlier one."
    SECRET_VALUE Advice "SecretValue"
        "A secret should not be written into the Dockerfile"
        "It stays in the image's history even if a later instruction takes it back."
    SHELL_STATE_LOST Advice "ShellStateLost"
        "cd and export do not outlive their RUN"
        "Every RUN begins a new shell: in the folder of WORKDIR, with the variables of ENV and ARG."
    ADD_FOR_LOCAL_FILE Advice "AddForLocalFile"
        "COPY is for files, ADD for archives and addresses"
        "ADD unpacks and downloads; where neither is meant, COPY says so."
    PIPE_HIDES_FAILURE Advice "PipeHidesFailure"
        "A pipe succeeds when its last command does"
        "A download that fails before the pipe goes unnoticed, and what came of it is kept in the cache."
}

/// The check of a name, whatever its case.
pub fn rule(name: &str) -> Option<&'static Rule> {
    RULES.iter().copied().find(|rule| rule.name.eq_ignore_ascii_case(name))
}
