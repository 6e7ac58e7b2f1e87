// A stand-in: just what docs/guides/android.md uses of these classes, for the compiler.
package androidx.compose.runtime

import kotlin.reflect.KProperty
import kotlinx.coroutines.CoroutineScope

@Target(AnnotationTarget.FUNCTION, AnnotationTarget.TYPE)
annotation class Composable

interface MutableState<T> {
    var value: T
}

operator fun <T> MutableState<T>.getValue(owner: Any?, property: KProperty<*>): T = value

operator fun <T> MutableState<T>.setValue(owner: Any?, property: KProperty<*>, value: T) {
    this.value = value
}

fun <T> mutableStateOf(value: T): MutableState<T> = TODO()

fun mutableIntStateOf(value: Int): MutableState<Int> = TODO()

fun <T> remember(calculation: () -> T): T = TODO()

fun rememberCoroutineScope(): CoroutineScope = TODO()

fun LaunchedEffect(key: Any?, block: suspend CoroutineScope.() -> Unit): Unit = TODO()
