package dev.unisono

import java.nio.file.Files
import java.nio.file.Path
import kotlin.io.path.createTempDirectory
import kotlin.test.AfterTest

/** A test with a folder, and a server if it asks for one; both end with the test. */
abstract class StageTest {
    protected val folder: Path = createTempDirectory("unisono")
    private val started = lazy { Server(folder.resolve("server")) }
    internal val server: Server by started

    @AfterTest
    fun end() {
        if (started.isInitialized()) server.stop()
        Files.walk(folder).use { files -> files.sorted(Comparator.reverseOrder()).forEach(Files::delete) }
    }

    /** A client of the server, with a token of the account's unless it is given one, or what gives one. */
    protected suspend fun open(
        name: String,
        tokens: TokenSource? = null,
        account: String = "anna",
        token: String? = if (tokens == null) server.token(account) else null,
    ): Client {
        val path = folder.resolve("$name.db").toString()
        return Client.open(ClientOptions(path, server.url, account = account, token = token, tokenSource = tokens))
    }
}

/** `unisono-server` on a free port of this machine. */
internal class Server(private val data: Path) {
    private val program = System.getProperty("unisono.server")
    private val process: Process = start("serve", "--dev", "--listen", "127.0.0.1:0")
    val url: String = process.inputStream.bufferedReader().readLine().removePrefix("listening on ").trim()

    fun token(user: String): String = start("token", "--dev", "--user", user).inputStream.bufferedReader().readText().trim()

    fun stop() {
        process.destroyForcibly().waitFor()
    }

    private fun start(command: String, vararg options: String): Process {
        val builder = ProcessBuilder(program, command, "--data", data.toString(), *options)
        builder.environment().keys.removeIf { it.startsWith("UNISONO_") }
        return builder.redirectError(ProcessBuilder.Redirect.DISCARD).start()
    }
}
