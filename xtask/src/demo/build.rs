//! A build, an edit, and a build that says what the edit cost.

use std::fs;

use super::{Demo, expect};
use crate::Result;

const DOCKERFILE: &str = "\
FROM demo:1 AS greet
COPY name /name
RUN echo \"Hello, $(cat /name).\" > /greeting

FROM demo:1
COPY --from=greet /greeting /etc/motd
CMD [\"cat\", \"/etc/motd\"]
";

impl Demo {
    pub(super) fn show_build(&self) -> Result {
        let context = self.path("app");
        fs::create_dir(&context)?;
        println!("\n$ cat app/Dockerfile\n{DOCKERFILE}");
        fs::write(self.folder.join("app/Dockerfile"), DOCKERFILE)?;
        fs::write(self.folder.join("app/name"), "builder")?;
        let build = ["build", "--progress", "plain", "--explain", "--tag", "app:1", &context];
        self.mica(&build)?;
        let said = self.mica(&["run", "--network", "none", "--rm", "app:1"])?;
        expect("the image greets", said == "Hello, builder.\n")?;

        println!("\n$ echo -n reader > app/name");
        fs::write(self.folder.join("app/name"), "reader")?;
        self.mica(&build)?;
        let said = self.mica(&["run", "--network", "none", "--rm", "app:1"])?;
        expect("the image greets somebody else", said == "Hello, reader.\n")
    }
}
